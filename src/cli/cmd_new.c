/* cmd_new.c - `new NAME`: checks the name, then runs new-method.sh, which copies the skeleton,
 * registers the copy, builds and tests it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/support/app.h"

/* NAME becomes a folder, a file and the start of C names. */
static bool is_name(const char *name)
{
    if (!islower((unsigned char)*name) || strlen(name) > 30)
        return false;
    for (; *name; name++)
        if (!islower((unsigned char)*name) && !isdigit((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

int command_new(struct app *app, struct error *error)
{
    const char *name = app->arguments[0];
    struct error none = { 0 };
    if (!is_name(name))
        fail(error, ERR_CONFIG,
             "new: \"%s\" is not a valid name for a method; use at most 30 lower-case letters, "
             "digits and _, with a letter first",
             name);
    else if (registry_find(&app->registry, name, &none))
        fail(error, ERR_CONFIG, "new: a method \"%s\" already exists  (./harness describe %s)",
             name, name);
    else if (!strcmp(app->options.command, "driftline"))
        fail(error, ERR_CONFIG,
             "new: needs the sources; here a method is a shared object (--plugin) or a program "
             "(external)");
    if (!error->code) {
        char *script = app_path(app->options.root, "src/build/new-method.sh");
        execl("/bin/sh", "sh", script, name, (char *)NULL);
        fail_errno(error, ERR_IO, "cannot run %s", script);
        free(script);
    }
    return EXIT_USAGE;
}
