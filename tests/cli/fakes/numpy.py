"""numpy.py - what the clients of configs/examples/external need of NumPy, for tests where it is not installed."""

float32 = single = "f4"


class ndarray(list):
    def tolist(self):
        return [each.tolist() if isinstance(each, ndarray) else each for each in self]

    def copy(self):
        return ndarray(each.copy() if isinstance(each, ndarray) else each for each in self)

    def __sub__(self, other):
        return ndarray(a - b for a, b in zip(self, other))

    def __matmul__(self, other):
        return sum(a * b for a, b in zip(self, other))

    def reshape(self, _, width):
        return ndarray(ndarray(self[i:i + width]) for i in range(0, len(self), width))

    @property
    def shape(self):
        return (len(self), len(self[0])) if self and isinstance(self[0], ndarray) else (len(self),)


def frombuffer(view, kind):
    assert kind == {"f": "f4", "Q": "u8"}[view.format], kind
    return ndarray(view.tolist())


def array(values, kind):
    result = ndarray(values).copy()
    result.dtype = kind
    return result


def concatenate(parts):
    return ndarray(row for part in parts for row in part)
