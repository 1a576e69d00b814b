/* test_download.c - downloads from a local server: resumed, cut, first rows only, from archives. */
#define _GNU_SOURCE
#include "tests/unit/data/fetch_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "src/base/process.h"

/* A Python server that logs the requested ranges; with RANGES=0 it cannot resume. */
static const char server[] = "import http.server, os, sys\n"
                             "class H(http.server.BaseHTTPRequestHandler):\n"
                             "    def do_GET(self):\n"
                             "        body = open(sys.argv[1], 'rb').read()\n"
                             "        r = self.headers.get('Range')\n"
                             "        print('range', r, flush=True, file=open(sys.argv[3], 'a'))\n"
                             "        if r and sys.argv[4] == '1':\n"
                             "            at = int(r[6:].split('-')[0])\n"
                             "            if at >= len(body):\n"
                             "                self.send_response(416); self.end_headers(); return\n"
                             "            self.send_response(206)\n"
                             "            self.send_header('Content-Range', 'bytes %d-%d/%d' % "
                             "(at, len(body) - 1, len(body)))\n"
                             "            end = r[6:].split('-')[1]\n"
                             "            body = body[at:int(end) + 1] if end else body[at:]\n"
                             "        else:\n"
                             "            self.send_response(200)\n"
                             "        self.send_header('Content-Length', str(len(body))); "
                             "self.end_headers(); self.wfile.write(body)\n"
                             "    def log_message(self, *a): pass\n"
                             "s = http.server.HTTPServer(('127.0.0.1', 0), H)\n"
                             "open(sys.argv[2], 'w').write(str(s.server_port) + '\\n')\n"
                             "s.serve_forever()\n";

static pid_t start_server(struct world *w, const char *log, const char *ranges, int *port)
{
    char port_file[PATH_MAX + 128];
    snprintf(port_file, sizeof port_file, "%s/port", w->data);
    unlink(port_file);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test must not leave a server behind */
        execlp("python3", "python3", "-c", server, w->file, port_file, log, ranges, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 6000; i++) {
        FILE *f = fopen(port_file, "r");
        if (f && fscanf(f, "%d\n", port) == 1) {
            fclose(f);
            return pid;
        }
        if (f)
            fclose(f);
        usleep(20000);
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return 0;
    }
    kill(pid, SIGKILL);
    return 0;
}

static void expect_log(const char *log, const char *lines)
{
    char text[512] = { 0 };
    FILE *f = fopen(log, "r");
    assert_non_null(f);
    (void)!fread(text, 1, sizeof text - 1, f);
    fclose(f);
    unlink(log);
    assert_string_equal(text, lines);
}

static void downloads_resume(void **state)
{
    struct world *w = *state;
    for (int ranges = 1; ranges >= 0; ranges--) {
        char log[PATH_MAX + 32], part[PATH_MAX + 160], done[PATH_MAX + 128];
        int port = 0;
        snprintf(log, sizeof log, "%s/log", w->scratch.dir);
        pid_t pid = start_server(w, log, ranges ? "1" : "0", &port);
        if (!pid)
            skip(); /* no python3 */
        snprintf(w->address, sizeof w->address, "http://127.0.0.1:%d/base.u8bin", port);
        w->origin = (struct dataset_origin){ ORIGIN_URL, w->address, NULL, NULL, true };
        w->part.origins = &w->origin;
        w->part.n_origins = 1;
        w->env.data_path = NULL;
        char file[PATH_MAX];
        snprintf(done, sizeof done, "%s/downloads/tiny/base.u8bin", w->cache);
        snprintf(part, sizeof part, "%s.part", done);
        unlink(done);
        assert_ok(fetch_file(&w->entry, "base", &w->env, file, &w->err), &w->err);
        assert_string_equal(file, done);
        expect_log(log, "range None\n");
        /* Half of the file is there. */
        assert_int_equal(rename(done, part), 0);
        assert_int_equal(truncate(part, 7), 0);
        assert_ok(fetch_file(&w->entry, "base", &w->env, file, &w->err), &w->err);
        expect_log(log, ranges ? "range bytes=7-\n" : "range bytes=7-\nrange None\n");
        /* The whole file is there, with more bytes behind it. */
        assert_int_equal(rename(done, part), 0);
        assert_int_equal(truncate(part, 20), 0);
        assert_ok(fetch_file(&w->entry, "base", &w->env, file, &w->err), &w->err);
        expect_log(log, "range bytes=20-\nrange None\n");
        /* The half that is there belongs to another file. */
        unlink(done);
        write_file(part, "wrong", 5);
        int rc = fetch_file(&w->entry, "base", &w->env, file, &w->err);
        if (ranges) {
            assert_int_equal(rc, ERR_FETCH);
            expect_text("spliced", &w->err, "expected sha256|found|base.u8bin");
            char bad[PATH_MAX + 192];
            struct stat st;
            snprintf(bad, sizeof bad, "%s.bad", done);
            assert_int_equal(stat(bad, &st), 0);
            error_clear(&w->err);
            assert_ok(fetch_file(&w->entry, "base", &w->env, file, &w->err), &w->err);
        } else {
            assert_int_equal(rc, OK);
        }
        unlink(log);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

/* The first row of a file without an end, in two attempts. */
static void the_beginning_of_a_long_file_can_be_fetched(void **state)
{
    struct world *w = *state;
    char log[PATH_MAX + 32], part[PATH_MAX + 160];
    int port = 0;
    snprintf(log, sizeof log, "%s/log", w->scratch.dir);
    snprintf(part, sizeof part, "%s/downloads/tiny/base.u8bin.part", w->cache);
    pid_t pid = start_server(w, log, "1", &port);
    if (!pid)
        skip(); /* no python3 */
    snprintf(w->address, sizeof w->address, "http://127.0.0.1:%d/base.u8bin", port);
    w->origin = (struct dataset_origin){ ORIGIN_URL, w->address, NULL, NULL, true };
    w->part = (struct dataset_part){ .part = "base",
                                     .file = "base.u8bin",
                                     .rows = 1,
                                     .dim = 3,
                                     .bytes = 11,
                                     .first_only = true,
                                     .unpinned = true,
                                     .origins = &w->origin,
                                     .n_origins = 1 };
    w->env.data_path = NULL;
    struct source *s = NULL;
    assert_ok(fetch_part(&w->entry, "base", &w->env, &s, &w->err), &w->err);
    assert_int_equal(s->n, 1);
    assert_memory_equal(s->rows, two_rows + 8, 3);
    source_close(s);
    expect_log(log, "range bytes=0-10\n");
    char file[PATH_MAX];
    assert_ok(fetch_file(&w->entry, "base", &w->env, file, &w->err), &w->err);
    assert_int_equal(rename(file, part), 0);
    assert_int_equal(truncate(part, 9), 0);
    assert_ok(fetch_file(&w->entry, "base", &w->env, file, &w->err), &w->err);
    expect_log(log, "range bytes=9-10\n");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_member_of_an_archive_is_unpacked(void **state)
{
    struct world *w = *state;
    char tarball[PATH_MAX + 64], log[PATH_MAX + 32];
    int port = 0;
    snprintf(tarball, sizeof tarball, "%s/t.tar.gz", w->data);
    const char *pack[] = { "tar", "-czf", tarball, "-C", w->data, "tiny", NULL };
    struct process p = { .argv = pack };
    assert_ok(process_run(&p, &w->err), &w->err);
    assert_int_equal(p.status, 0);
    snprintf(w->file, sizeof w->file, "%s", tarball);
    snprintf(log, sizeof log, "%s/log", w->scratch.dir);
    pid_t pid = start_server(w, log, "1", &port);
    if (!pid)
        skip(); /* no python3 */
    snprintf(w->address, sizeof w->address, "http://127.0.0.1:%d/t.tar.gz", port);
    w->origin = (struct dataset_origin){ ORIGIN_URL, w->address, NULL, "tiny/base.u8bin", true };
    w->part.origins = &w->origin;
    w->part.n_origins = 1;
    w->env.data_path = NULL;
    expect_tiny(w);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(downloads_resume),
        IN_A_WORLD(the_beginning_of_a_long_file_can_be_fetched),
        IN_A_WORLD(a_member_of_an_archive_is_unpacked),
    };
    return test_run("data_download", tests);
}
