#!/bin/sh
# install.sh - copies what make built to DESTDIR/PREFIX, or removes it from there.
#
#   install.sh [--remove]    from the environment: PREFIX, a whole path, by default /usr/local; DESTDIR
set -eu
umask 022

PREFIX=${PREFIX:-/usr/local}
case $PREFIX in /*) ;; *) echo "install: PREFIX=$PREFIX: expected a whole path, such as /usr/local" >&2; exit 2 ;; esac
prefix=${DESTDIR:-}${PREFIX%/}
lib=$prefix/lib/driftline share=$prefix/share/driftline doc=$prefix/share/doc/driftline
launcher=$prefix/bin/driftline man=$prefix/share/man/man1/driftline.1.gz
bash=$prefix/share/bash-completion/completions/driftline fish=$prefix/share/fish/vendor_completions.d/driftline.fish
case $PREFIX in
    /usr) zsh=$prefix/share/zsh/vendor-completions/_driftline ;; # as Debian has it
    *) zsh=$prefix/share/zsh/site-functions/_driftline ;;
esac

# An earlier version's files, too.
rm -rf "$lib" "$share" "$doc"
rm -f "$launcher" "$man" "$bash" "$zsh" "$fish"
[ "${1:-}" != --remove ] || exit 0

for file in "$launcher" "$man" "$bash" "$zsh" "$fish"; do mkdir -p "${file%/*}"; done
mkdir -p "$lib" "$share" "$doc"
install -m 755 -s build/driftline "$lib/driftline"
install -m 755 harness "$launcher"
for file in build/external-client build/libdriftline_mpi.so build/libdriftline_cuda.so; do
    [ ! -e "$file" ] || install -m 755 -s "$file" "$lib"
done
# Not stripped: the program checks their sha256.
sed -n 's/^[0-9a-f]*  \(.*\.so\)$/\1/p' build/baselines.sha256 | while read -r file; do
    install -m 644 "$file" "$lib"
    [ ! -e "${file%/lib/*}/LICENSE" ] || install -m 644 "${file%/lib/*}/LICENSE" "$doc/LICENSE.faiss"
done
tar -c --exclude=__pycache__ --exclude=datasets/cache --mode=u+rwX,go=rX --owner=0 --group=0 \
    configs datasets plots src/build/deps.sh | tar -x -C "$share"
install -m 644 README.md CHANGELOG.md LICENSE NOTICE "$doc"
tar -c --mode=u+rwX,go=rX --owner=0 --group=0 docs | tar -x -C "$doc"
gzip -9nc docs/driftline.1 >"$man"
export DRIFTLINE_KEEP_ENV=1
"$launcher" completion bash >"$bash"
"$launcher" completion zsh >"$zsh"
"$launcher" completion fish >"$fish"
