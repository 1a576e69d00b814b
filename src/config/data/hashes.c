/* hashes.c - hashes { view, kind = "dhash" }: a data set of 64-bit codes of small images. */
#include <stdio.h>
#include <string.h>

#include "src/config/data/internal.h"
#include "src/config/script/fields.h"
#include "src/core/append_text.h"
#include "src/data/image_hash.h"

struct images {
    struct script *script;
    const struct view *view;
};

static int read_view(void *from, size_t first, size_t n, uint8_t *out, struct error *err)
{
    const struct images *images = from;
    const int rc = script_check(images->script, err);
    return rc ? rc : view_read(images->view, first, n, INDEX_U8, out, err);
}

static const struct view *images_of(const struct fields *f)
{
    lua_State *L = f->L;
    lua_rawgeti(L, f->at, 1);
    const struct lua_view *v = lua_view_at(L, -1);
    if (!v)
        fields_fail(f, NULL,
                    "a view of images comes first, as in hashes { dataset "
                    "\"mnist\", kind = \"dhash\" }, not %s",
                    script_shown(L, -1));
    if (v->view->element != INDEX_U8)
        script_fail_at(L, f->call, ERR_DIMENSION, "%s: images are rows of u8, not %s", f->what,
                       index_element_name(v->view->element));
    lua_pop(L, 1);
    return v->view; /* the table keeps it alive */
}

/* Title of the data set in results, such as "dhash of mnist .. fashion-mnist". */
static void title_of(lua_State *L, enum image_hash kind, const struct view *v, char *text,
                     size_t bytes)
{
    const struct script *s = script_of(L);
    (void)snprintf(text, bytes, "%s of", image_hash_name(kind));
    for (size_t i = 0; i < v->n_segments; i++) {
        const char *name = v->segments[i].source->name;
        for (const struct data_set *set = s->sets; set; set = set->next)
            name = set->base == v->segments[i].source ? set->name : name;
        append_text(text, bytes, i ? " .. " : " ", "%s", name);
    }
}

int lua_hashes(lua_State *L)
{
    const char *kinds[IMAGE_HASHES + 1] = { NULL };
    for (int i = 0; i < IMAGE_HASHES; i++)
        kinds[i] = image_hash_name((enum image_hash)i);
    const struct fields f = fields_open(L, 1, "hashes");
    fields_only(&f, CALL_HASHES, 1);
    const int kind = fields_choice(&f, "kind", -1, kinds);
    if (kind < 0)
        fields_fail(&f, NULL, "kind = ... is missing%s", script_hint(L, "", kinds, IMAGE_HASHES));
    struct images images = { script_of(L), images_of(&f) };
    char title[300];
    title_of(L, (enum image_hash)kind, images.view, title, sizeof title);
    struct source *source = NULL;
    if (image_hash_open((enum image_hash)kind, images.view->n, images.view->dim, read_view, &images,
                        title, &source, script_error(L)))
        script_raise(L, f.call, "hashes");
    lua_source_keep(L, source, title, "", "");
    struct data_set *set = lua_set_new(L, title);
    set->base = source;
    set->metric = INDEX_HAMMING;
    lua_set_push(L, set);
    return 1;
}
