/* completion.c - completion of the command line for bash, zsh and fish, from the tables of commands and
 * options. */
#include <stdio.h>
#include <string.h>

#include "src/cli/docs/docs.h"

/* The programs that are completed. */
#define PROGRAMS "harness ./harness driftline"

bool docs_applies(const char *commands, const char *command)
{
    const size_t length = strlen(command);
    for (const char *at = commands; at && *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == length && !memcmp(at, command, length))
            return true;
    return !commands;
}

/* A text between single quotes of a shell; zsh's descriptions also take : and [ apart. */
static void quoted(FILE *out, const char *text, const char *escaped)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else if (strchr(escaped, *text))
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
}

static void names(const struct docs_program *program, FILE *out)
{
    for (const struct docs_command *c = program->commands; c->name; c++)
        if (c->help)
            fprintf(out, "%s ", c->name);
}

static void bash(const struct docs_program *program, FILE *out)
{
    fputs("# bash completion of driftline\n_driftline() {\n    local words='", out);
    names(program, out);
    fputs("' options=\n    local word=${COMP_WORDS[COMP_CWORD]}\n    case ${COMP_WORDS[1]} in\n",
          out);
    for (const struct docs_command *c = program->commands; c->name; c++) {
        fprintf(out, "        %s) options='--help", c->name);
        for (const struct docs_option *o = program->options; o->name; o++)
            if (docs_applies(o->commands, c->name))
                fprintf(out, " --%s", o->name);
        fputs("' ;;\n", out);
    }
    fputs("    esac\n    case $word in -*) words=$options ;; esac\n"
          "    if [ \"$COMP_CWORD\" = 1 ] || [ \"${word#-}\" != \"$word\" ]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n    fi\n}\n"
          "complete -o bashdefault -o default -F _driftline " PROGRAMS "\n",
          out);
}

static void zsh(const struct docs_program *program, FILE *out)
{
    fputs("#compdef " PROGRAMS "\n_driftline() {\n    if ((CURRENT == 2)); then\n        local -a "
          "commands=(\n",
          out);
    for (const struct docs_command *c = program->commands; c->name; c++) {
        if (!c->help)
            continue;
        fprintf(out, "            '%s:", c->name);
        quoted(out, c->help, "");
        fputs("'\n", out);
    }
    fputs("        )\n        _describe command commands\n        _files\n        return\n    fi\n"
          "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command in\n",
          out);
    for (const struct docs_command *c = program->commands; c->name; c++) {
        if (!c->help)
            continue;
        fprintf(out, "        %s) _arguments", c->name);
        for (const struct docs_option *o = program->options; o->name; o++) {
            if (!docs_applies(o->commands, c->name))
                continue;
            fprintf(out, " '*--%s[", o->name);
            quoted(out, o->help, "[]:");
            fprintf(out, "]%s%s%s'", o->value ? ":" : "", o->value ? o->value : "",
                    o->value ? ":_files" : "");
        }
        fputs(" '*:file:_files' ;;\n", out);
    }
    fputs("        *) _files ;;\n    esac\n}\n"
          "if [ \"$funcstack[1]\" = _driftline ]; then _driftline \"$@\"; else compdef "
          "_driftline " PROGRAMS "; fi\n",
          out);
}

static void fish(const struct docs_program *program, FILE *out)
{
    fputs("# fish completion of driftline\nfor program in harness driftline\n", out);
    for (const struct docs_command *c = program->commands; c->name; c++) {
        if (!c->help)
            continue;
        fprintf(out, "    complete -c $program -n __fish_use_subcommand -a %s -d '", c->name);
        quoted(out, c->help, "");
        fputs("'\n", out);
    }
    for (const struct docs_option *o = program->options; o->name; o++) {
        fputs("    complete -c $program", out);
        if (o->commands)
            fprintf(out, " -n '__fish_seen_subcommand_from %s'", o->commands);
        fprintf(out, " -l %s%s -d '", o->name, o->value ? " -r" : "");
        quoted(out, o->help, "");
        fputs("'\n", out);
    }
    fputs("end\n", out);
}

int docs_completion(const struct docs_program *program, const char *shell, FILE *out)
{
    static const struct {
        const char *name;
        void (*write)(const struct docs_program *, FILE *);
    } shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].write(program, out);
            return OK;
        }
    return ERR_CONFIG;
}
