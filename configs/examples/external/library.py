"""library.py - for clients over Python libraries: rows as NumPy arrays, options, and the reason if a library is missing."""
import client

try:
    import numpy
except ImportError:
    numpy = None


class Library:
    filters = False

    def begin(self, request, missing, package, metrics):
        """missing: why the library cannot be loaded, or None."""
        if missing:
            raise RuntimeError(f"{missing}; the package {package} has it")
        self.metric, self.dim = client.METRICS[request.metric], request.dim
        if self.metric not in metrics:
            raise NotImplementedError(f"this client has no metric {self.metric}")

    def options(self, request, **defaults):
        """The words NAME=VALUE of the option `options`, as numbers of the defaults' types."""
        for word in request.texts()[1].split():
            name, _, value = word.partition("=")
            if name not in defaults:
                raise RuntimeError(f"options: \"{word}\" is none of {', '.join(f'{known}=...' for known in defaults)}")
            defaults[name] = type(defaults[name])(value)
        return defaults

    def rows(self, request):
        return numpy.frombuffer(request.view(request.rows_at, request.n * self.dim, "f"), "f4").reshape(-1, self.dim)

    def row_ids(self, ids, kind="u8"):
        return numpy.array(list(ids), kind)
