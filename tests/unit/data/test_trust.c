/* test_trust.c - downloads are pinned and come by https, or the catalog says that they are not; a
 * server cannot redirect to http, send without end, or deliver a link. */
#define _GNU_SOURCE
#include "tests/unit/data/fetch_world.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "src/base/process.h"

/* Arguments: FILE PORT_FILE [CERTIFICATE]. /file is the file, /away redirects to http,
   /endless sends a gigabyte without a length, /long announces a large length. Requests
   are logged in PORT_FILE.log. */
static const char server[] =
    "import http.server, ssl, sys\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        print(self.path, flush=True, file=open(sys.argv[2] + '.log', 'a'))\n"
    "        if self.path == '/away':\n"
    "            self.send_response(302)\n"
    "            self.send_header('Location', 'http://127.0.0.1:%d/file' % s.server_port)\n"
    "            self.end_headers(); return\n"
    "        self.send_response(200)\n"
    "        body = open(sys.argv[1], 'rb').read()\n"
    "        if self.path == '/long': self.send_header('Content-Length', str(1 << 40))\n"
    "        if self.path == '/file': self.send_header('Content-Length', str(len(body)))\n"
    "        self.end_headers()\n"
    "        if self.path == '/file': self.wfile.write(body); return\n"
    "        try:\n"
    "            for i in range(1 << 14): self.wfile.write(bytes(1 << 16))\n"
    "            print('all', flush=True, file=open(sys.argv[2] + '.log', 'a'))\n"
    "        except OSError: pass\n"
    "    def log_message(self, *a): pass\n"
    "s = http.server.HTTPServer(('127.0.0.1', 0), H)\n"
    "if len(sys.argv) > 3:\n"
    "    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[3])\n"
    "    s.socket = c.wrap_socket(s.socket, server_side=True)\n"
    "open(sys.argv[2], 'w').write(str(s.server_port) + '\\n')\n"
    "s.serve_forever()\n";

struct server {
    pid_t pid;
    int port;
    char port_file[PATH_MAX + 160];
};

/* pid 0: Python is missing or cannot serve. */
static struct server start_server(struct world *w, const char *certificate)
{
    struct server s = { 0 };
    snprintf(s.port_file, sizeof s.port_file, "%s/port", w->data);
    unlink(s.port_file);
    s.pid = fork();
    assert_true(s.pid >= 0);
    if (!s.pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test must not leave a server behind */
        execlp("python3", "python3", "-c", server, w->file, s.port_file, certificate, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 6000; i++) {
        FILE *f = fopen(s.port_file, "r");
        const bool ready = f && fscanf(f, "%d\n", &s.port) == 1;
        if (f)
            fclose(f);
        if (ready)
            return s;
        if (waitpid(s.pid, NULL, WNOHANG) == s.pid) {
            s.pid = 0;
            return s;
        }
        usleep(20000);
    }
    kill(s.pid, SIGKILL);
    s.pid = 0;
    return s;
}

static void stop_server(const struct server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

/* The entry's only source is this address; the local folders have nothing. */
static void only_from(struct world *w, const char *scheme, const struct server *s, const char *path)
{
    snprintf(w->address, sizeof w->address, "%s://127.0.0.1:%d%s", scheme, s->port, path);
    w->origin =
        (struct dataset_origin){ .kind = ORIGIN_URL, .address = w->address, .insecure = true };
    w->part.origins = &w->origin;
    w->part.n_origins = 1;
    w->part.bytes = sizeof two_rows;
    w->env.data_path = NULL;
}

static int fetch(struct world *w)
{
    char path[PATH_MAX];
    error_clear(&w->err);
    return fetch_file(&w->entry, "base", &w->env, path, &w->err);
}

static bool has_logged(const struct server *s, const char *what)
{
    char log[PATH_MAX + 200], text[1000] = "";
    snprintf(log, sizeof log, "%s.log", s->port_file);
    FILE *f = fopen(log, "r");
    if (!f)
        return false;
    (void)!fread(text, 1, sizeof text - 1, f);
    fclose(f);
    return strstr(text, what) != NULL;
}

static bool in_downloads(struct world *w, const char *name)
{
    char path[PATH_MAX + 128];
    struct stat st;
    snprintf(path, sizeof path, "%s/downloads/tiny/%s", w->cache, name);
    return lstat(path, &st) == 0;
}

struct lines {
    char text[2000];
};

static int keep_line(void *context, const char *what, size_t done, size_t total)
{
    struct lines *lines = context;
    const size_t used = strlen(lines->text);
    snprintf(lines->text + used, sizeof lines->text - used, "%s\n", what);
    return 0;
}

static void what_is_not_checked_must_be_said(void **state)
{
    struct world *w = *state;
    struct lines said = { "" };
    const struct server s = start_server(w, NULL);
    if (!s.pid)
        skip();
    only_from(w, "http", &s, "/file");
    w->origin.insecure = false;
    assert_int_equal(fetch(w), ERR_CONFIG);
    expect_text("http", &w->err, "fetch tiny/base|127.0.0.1|plain http|insecure = true");
    w->origin.address = "ftp://127.0.0.1:1/base";
    assert_int_equal(fetch(w), ERR_CONFIG);
    expect_text("ftp", &w->err, "plain ftp|insecure = true");
    w->origin.address = "file:///etc/passwd";
    w->origin.insecure = true;
    assert_int_equal(fetch(w), ERR_CONFIG);
    expect_text("file", &w->err, "file:///etc/passwd|https://");
    w->origin.address = w->address;
    w->part.sha256 = NULL;
    assert_int_equal(fetch(w), ERR_CONFIG);
    expect_text("no sha256", &w->err, "base.u8bin|unpinned = true");
    assert_false(has_logged(&s, "/"));
    /* With both words in the catalog it is fetched, and a warning shows what is trusted. */
    w->part.unpinned = true;
    w->env.progress = (struct data_progress){ keep_line, &said };
    assert_int_equal(fetch(w), OK);
    assert_non_null(strstr(said.text, "trusting http://127.0.0.1"));
    assert_non_null(strstr(said.text, "others can change"));
    stop_server(&s);
}

static void a_server_cannot_send_without_end(void **state)
{
    struct world *w = *state;
    const struct server s = start_server(w, NULL);
    if (!s.pid)
        skip();
    only_from(w, "http", &s, "/endless");
    assert_int_equal(fetch(w), ERR_FETCH);
    expect_text("endless", &w->err, "longer than the 14 bytes expected");
    assert_true(has_logged(&s, "/endless"));
    assert_false(has_logged(&s, "all"));
    only_from(w, "http", &s, "/long");
    assert_int_equal(fetch(w), ERR_FETCH);
    only_from(w, "http", &s, "/file");
    w->part.bytes = sizeof two_rows - 1;
    assert_int_equal(fetch(w), ERR_FETCH);
    assert_false(in_downloads(w, "base.u8bin"));
    assert_false(in_downloads(w, "base.u8bin.part"));
    w->part.bytes = sizeof two_rows;
    assert_int_equal(fetch(w), OK);
    stop_server(&s);
}

static bool make_certificate(struct world *w, char path[PATH_MAX + 64])
{
    snprintf(path, PATH_MAX + 64, "%s/both.pem", w->data);
    const char *make[] = { "openssl",  "req",
                           "-x509",    "-newkey",
                           "rsa:2048", "-nodes",
                           "-days",    "2",
                           "-subj",    "/CN=localhost",
                           "-addext",  "subjectAltName=IP:127.0.0.1",
                           "-keyout",  path,
                           "-out",     "-",
                           NULL };
    struct process p = { .argv = make };
    struct error err = { 0 };
    if (process_run(&p, &err) || p.status)
        return false;
    /* The certificate is printed after progress dots; the key is in the file. */
    const char *begin = strstr(p.output, "-----BEGIN CERT");
    FILE *f = begin ? fopen(path, "a") : NULL;
    if (!f)
        return false;
    fprintf(f, "%s\n", begin);
    return fclose(f) == 0;
}

static void https_does_not_lead_to_http(void **state)
{
    struct world *w = *state;
    char certificate[PATH_MAX + 64];
    if (!make_certificate(w, certificate))
        skip(); /* no openssl */
    const struct server s = start_server(w, certificate);
    if (!s.pid)
        skip();
    setenv("CURL_CA_BUNDLE", certificate, 1);
    only_from(w, "https", &s, "/file");
    w->origin.insecure = false;
    assert_ok(fetch(w), &w->err);
    char path[PATH_MAX + 128];
    snprintf(path, sizeof path, "%s/downloads/tiny/base.u8bin", w->cache);
    assert_int_equal(unlink(path), 0);
    for (int insecure = 0; insecure < 2; insecure++) {
        only_from(w, "https", &s, "/away");
        w->origin.insecure = insecure;
        assert_int_equal(fetch(w), ERR_FETCH);
        expect_text("redirection", &w->err, "http|disabled");
    }
    unsetenv("CURL_CA_BUNDLE");
    stop_server(&s);
}

/* Packs tiny/base.u8bin, as this name, into an archive that the server sends. */
static void pack(struct world *w, const char *name)
{
    char archive[PATH_MAX + 64];
    snprintf(archive, sizeof archive, "%s/t.tar.gz", w->data);
    const char *argv[] = { "tar", "-czf", archive, "-C", w->data, name, NULL };
    struct process p = { .argv = argv };
    assert_ok(process_run(&p, &w->err), &w->err);
    assert_int_equal(p.status, 0);
    snprintf(w->file, sizeof w->file, "%s", archive);
}

static void expect_no_member(struct world *w, const char *expected)
{
    pack(w, "tiny");
    const struct server s = start_server(w, NULL);
    if (!s.pid)
        skip();
    only_from(w, "http", &s, "/file");
    w->origin.member = "tiny/base.u8bin";
    w->part.sha256 = NULL;
    w->part.unpinned = true;
    assert_int_equal(fetch(w), ERR_FETCH);
    expect_text("member", &w->err, expected);
    assert_false(in_downloads(w, "base.u8bin"));
    stop_server(&s);
}

/* tar -cf A.tar . packs "./tiny/base.u8bin". */
static void an_archive_of_a_folder(void **state)
{
    struct world *w = *state;
    static const char *const names[] = { "tiny", "./tiny" };
    for (int i = 0; i < 2; i++) {
        pack(w, names[i]);
        const struct server s = start_server(w, NULL);
        if (!s.pid)
            skip();
        only_from(w, "http", &s, "/file");
        w->origin.member = "tiny/base.u8bin";
        assert_ok(fetch(w), &w->err);
        assert_true(in_downloads(w, "base.u8bin"));
        char path[PATH_MAX + 128];
        snprintf(path, sizeof path, "%s/downloads/tiny/base.u8bin", w->cache);
        assert_int_equal(unlink(path), 0);
        snprintf(path, sizeof path, "%s/downloads/tiny/file", w->cache);
        unlink(path);
        stop_server(&s);
        w->env.data_path = NULL;
    }
}

static void an_archive_gives_no_link(void **state)
{
    struct world *w = *state;
    assert_int_equal(unlink(w->file), 0);
    assert_int_equal(symlink("/etc/passwd", w->file), 0);
    expect_no_member(w, "no file tiny/base.u8bin");
}

static void an_archive_gives_no_flood(void **state)
{
    struct world *w = *state;
    assert_int_equal(truncate(w->file, 1 << 20), 0);
    expect_no_member(w, "longer than the 14 bytes expected");
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(what_is_not_checked_must_be_said), IN_A_WORLD(a_server_cannot_send_without_end),
        IN_A_WORLD(https_does_not_lead_to_http),      IN_A_WORLD(an_archive_gives_no_link),
        IN_A_WORLD(an_archive_gives_no_flood),        IN_A_WORLD(an_archive_of_a_folder),
    };
    return test_run("data_trust", tests);
}
