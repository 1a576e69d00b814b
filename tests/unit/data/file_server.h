/* file_server.h - a local server of one file, in Python, and fetches from it alone. */
#ifndef DRIFTLINE_TESTS_UNIT_DATA_FILE_SERVER_H
#define DRIFTLINE_TESTS_UNIT_DATA_FILE_SERVER_H

#include "tests/unit/data/fetch_world.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "src/base/process.h"

/* Arguments: FILE PORT_FILE RANGES [CERTIFICATE]. Any path is the file, which is resumed if RANGES is
   1, but /away redirects to http, /endless sends a gigabyte without a length, and /long announces a
   large length. Requests, with their ranges, are logged in PORT_FILE.log. */
static const char file_server[] =
    "import http.server, ssl, sys\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        r = self.headers.get('Range')\n"
    "        print(self.path, r, flush=True, file=open(sys.argv[2] + '.log', 'a'))\n"
    "        body = open(sys.argv[1], 'rb').read()\n"
    "        if self.path == '/away':\n"
    "            self.send_response(302)\n"
    "            self.send_header('Location', 'http://127.0.0.1:%d/file' % s.server_port)\n"
    "            self.end_headers(); return\n"
    "        if self.path in ('/endless', '/long'):\n"
    "            self.send_response(200)\n"
    "            if self.path == '/long': self.send_header('Content-Length', str(1 << 40))\n"
    "            self.end_headers()\n"
    "            try:\n"
    "                for i in range(1 << 14): self.wfile.write(bytes(1 << 16))\n"
    "                print('all', flush=True, file=open(sys.argv[2] + '.log', 'a'))\n"
    "            except OSError: pass\n"
    "            return\n"
    "        if r and sys.argv[3] == '1':\n"
    "            at, end = r[6:].split('-')\n"
    "            at = int(at)\n"
    "            if at >= len(body):\n"
    "                self.send_response(416); self.end_headers(); return\n"
    "            self.send_response(206)\n"
    "            self.send_header('Content-Range', 'bytes %d-%d/%d' % "
    "(at, len(body) - 1, len(body)))\n"
    "            body = body[at:int(end) + 1] if end else body[at:]\n"
    "        else:\n"
    "            self.send_response(200)\n"
    "        self.send_header('Content-Length', str(len(body)))\n"
    "        self.end_headers(); self.wfile.write(body)\n"
    "    def log_message(self, *a): pass\n"
    "s = http.server.HTTPServer(('127.0.0.1', 0), H)\n"
    "if len(sys.argv) > 4:\n"
    "    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[4])\n"
    "    s.socket = c.wrap_socket(s.socket, server_side=True)\n"
    "open(sys.argv[2], 'w').write(str(s.server_port) + '\\n')\n"
    "s.serve_forever()\n";

struct server {
    pid_t pid;
    int port;
    const char *scheme;
    char port_file[PATH_MAX + 160];
};

/* The log since the last call. */
static inline void take_log(const struct server *s, char text[1000])
{
    char log[PATH_MAX + 200];
    snprintf(log, sizeof log, "%s.log", s->port_file);
    memset(text, 0, 1000);
    FILE *f = fopen(log, "r");
    if (!f)
        return;
    (void)!fread(text, 1, 999, f);
    fclose(f);
    unlink(log);
}

/* The entry's only source is this path of the server; the local folders have nothing. */
static inline void only_from(struct world *w, const struct server *s, const char *path)
{
    snprintf(w->address, sizeof w->address, "%s://127.0.0.1:%d%s", s->scheme, s->port, path);
    w->origin =
        (struct dataset_origin){ .kind = ORIGIN_URL, .address = w->address, .insecure = true };
    w->part.origins = &w->origin;
    w->part.n_origins = 1;
    w->part.bytes = sizeof two_rows;
    w->env.data_path = NULL;
}

/* A server that is the entry's only source. The test is skipped if Python is missing or cannot serve.
   certificate: of https, or NULL. */
static inline struct server start_server(struct world *w, bool ranges, const char *certificate)
{
    struct server s = { .scheme = certificate ? "https" : "http" };
    char log[1000];
    snprintf(s.port_file, sizeof s.port_file, "%s/port", w->data);
    unlink(s.port_file);
    take_log(&s, log); /* of a server before this one */
    s.pid = fork();
    assert_true(s.pid >= 0);
    if (!s.pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test must not leave a server behind */
        execlp("python3", "python3", "-c", file_server, w->file, s.port_file, ranges ? "1" : "0",
               certificate, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 6000; i++) {
        FILE *f = fopen(s.port_file, "r");
        const bool ready = f && fscanf(f, "%d\n", &s.port) == 1;
        if (f)
            fclose(f);
        if (ready) {
            only_from(w, &s, "/file");
            return s;
        }
        if (waitpid(s.pid, NULL, WNOHANG) == s.pid)
            break;
        usleep(20000);
    }
    skip();
    return s;
}

static inline void stop_server(const struct server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

static inline int fetch(struct world *w)
{
    char path[PATH_MAX];
    error_clear(&w->err);
    return fetch_file(&w->entry, "base", &w->env, path, &w->err);
}

static inline void expect_no_fetch(struct world *w, int code, const char *pieces)
{
    assert_int_equal(fetch(w), code);
    expect_text("fetch", &w->err, pieces);
}

#endif
