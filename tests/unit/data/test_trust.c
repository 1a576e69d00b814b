/* test_trust.c - downloads are pinned and come by https, or the catalog says that they are not; a
 * server cannot redirect to http, send without end, or deliver a link. */
#define _GNU_SOURCE
#include "tests/unit/data/file_server.h"

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
    char log[1000];
    const struct server s = start_server(w, false, NULL);
    w->origin.insecure = false;
    expect_no_fetch(w, ERR_CONFIG, "fetch tiny/base|127.0.0.1|plain http|insecure = true");
    w->origin.address = "ftp://127.0.0.1:1/base";
    expect_no_fetch(w, ERR_CONFIG, "plain ftp|insecure = true");
    w->origin.address = "file:///etc/passwd";
    w->origin.insecure = true;
    expect_no_fetch(w, ERR_CONFIG, "file:///etc/passwd|https://");
    w->origin.address = w->address;
    w->part.sha256 = NULL;
    expect_no_fetch(w, ERR_CONFIG, "base.u8bin|unpinned = true");
    take_log(&s, log);
    assert_string_equal(log, "");
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
    char log[1000];
    const struct server s = start_server(w, false, NULL);
    only_from(w, &s, "/endless");
    expect_no_fetch(w, ERR_FETCH, "longer than the 14 bytes expected");
    take_log(&s, log);
    assert_string_equal(log, "/endless None\n"); /* and not to its end */
    only_from(w, &s, "/long");
    assert_int_equal(fetch(w), ERR_FETCH);
    only_from(w, &s, "/file");
    w->part.bytes = sizeof two_rows - 1;
    assert_int_equal(fetch(w), ERR_FETCH);
    assert_false(has_download(w, "base.u8bin"));
    assert_false(has_download(w, "base.u8bin.part"));
    w->part.bytes = sizeof two_rows;
    assert_int_equal(fetch(w), OK);
    stop_server(&s);
}

static bool make_certificate(const char *path)
{
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
    const char *certificate = scratch_path(&w->scratch, "both.pem");
    if (!make_certificate(certificate))
        skip(); /* no openssl */
    const struct server s = start_server(w, false, certificate);
    setenv("CURL_CA_BUNDLE", certificate, 1);
    w->origin.insecure = false;
    assert_ok(fetch(w), &w->err);
    assert_int_equal(unlink(in_downloads(w, "base.u8bin")), 0);
    for (int insecure = 0; insecure < 2; insecure++) {
        only_from(w, &s, "/away");
        w->origin.insecure = insecure;
        expect_no_fetch(w, ERR_FETCH, "http|disabled");
    }
    unsetenv("CURL_CA_BUNDLE");
    stop_server(&s);
}

/* Packs tiny/base.u8bin, as this name, into an archive that the server sends. */
static void pack(struct world *w, const char *name)
{
    const char *archive = scratch_path(&w->scratch, "t.tar.gz");
    const char *argv[] = { "tar", "-czf", archive, "-C", w->data, name, NULL };
    struct process p = { .argv = argv };
    assert_ok(process_run(&p, &w->err), &w->err);
    assert_int_equal(p.status, 0);
    snprintf(w->file, sizeof w->file, "%s", archive);
}

static void expect_no_member(struct world *w, const char *expected)
{
    pack(w, "tiny");
    const struct server s = start_server(w, false, NULL);
    w->origin.member = "tiny/base.u8bin";
    w->part.sha256 = NULL;
    w->part.unpinned = true;
    expect_no_fetch(w, ERR_FETCH, expected);
    assert_false(has_download(w, "base.u8bin"));
    stop_server(&s);
}

/* tar -cf A.tar . packs "./tiny/base.u8bin". */
static void an_archive_of_a_folder(void **state)
{
    struct world *w = *state;
    static const char *const names[] = { "tiny", "./tiny" };
    for (int i = 0; i < 2; i++) {
        pack(w, names[i]);
        const struct server s = start_server(w, false, NULL);
        w->origin.member = "tiny/base.u8bin";
        assert_ok(fetch(w), &w->err);
        assert_true(has_download(w, "base.u8bin"));
        assert_int_equal(unlink(in_downloads(w, "base.u8bin")), 0);
        unlink(in_downloads(w, "file"));
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
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(what_is_not_checked_must_be_said), IN_A_WORLD(a_server_cannot_send_without_end),
        IN_A_WORLD(https_does_not_lead_to_http),      IN_A_WORLD(an_archive_gives_no_link),
        IN_A_WORLD(an_archive_gives_no_flood),        IN_A_WORLD(an_archive_of_a_folder),
    };
    return test_run("data_trust", tests);
}
