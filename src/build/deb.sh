#!/bin/sh
# deb.sh - builds build/driftline_VERSION_ARCH.deb from build/driftline-VERSION.tar.gz, with dpkg-deb.
#
#   deb.sh VERSION
#
# Without CUDA, whose libraries are not in Debian's main section. The maintainer is who made the last commit.
set -eu
unset MAKEFLAGS MAKELEVEL MFLAGS

work=$PWD/build/deb source=$PWD/build/deb/driftline-$1 root=$PWD/build/deb/root
arch=$(dpkg --print-architecture)
# Whole, as the times of files in a tarball are those of its commit.
rm -rf "$work"
mkdir -p "$root/DEBIAN"
tar -xzf "build/driftline-$1.tar.gz" -C "$work"
make -C "$source" DRIFTLINE_PORTABLE=1 DRIFTLINE_WITHOUT="${DRIFTLINE_WITHOUT:-} cuda" PACKAGED=1 all
make -C "$source" PREFIX=/usr DESTDIR="$root" install
cat LICENSE NOTICE >"$root/usr/share/doc/driftline/copyright"

# Packages of the libraries that files need, by the lists that dpkg has of them; not ours, which lie beside the program.
depends() { # FILE...
    for needed in $(objdump -p "$@" | awk '$1 == "NEEDED" { print $2 }' | sort -u); do
        case $needed in ld-linux*) continue ;; esac
        [ ! -e "$root/usr/lib/driftline/$needed" ] || continue
        package=$(awk -v library="${needed%%.so*}" -v version="${needed#*.so.}" \
            '$1 == library && $2 == version { sub(/^[^ \t]+[ \t]+[^ \t]+[ \t]+/, ""); print; exit }' \
            /var/lib/dpkg/info/*":$arch.shlibs" /var/lib/dpkg/info/*.shlibs) # of this architecture before others
        [ "$package" ] || { echo "deb: no package of this system has $needed" >&2 && return 1; }
        printf '%s\n' "$package"
    done
}
cd "$root/usr/lib/driftline"
# shellcheck disable=SC2046  # names without blanks
needs=$(depends driftline $(ls libfaiss*.so 2>/dev/null))
cd "$OLDPWD"
cat >"$root/DEBIAN/control" <<CONTROL
Package: driftline
Version: $1
Architecture: $arch
Maintainer: $(git log -1 --format='%an <%ae>')
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: $(echo "$needs" | sort -u | paste -sd, | sed 's/,/, /g')
Recommends: gnuplot-nox | gnuplot, fonts-dejavu-core, curl, ca-certificates
Suggests: openmpi-bin, npm, dataset-fashion-mnist, python3
Section: science
Priority: optional
Description: measures nearest-neighbour indexes on data that change
 Recall, speed and memory of vector indexes at every step of a workload,
 while vectors arrive, leave and drift. Workloads are Lua scripts.
CONTROL
dpkg-deb --root-owner-group --build "$root" "build/driftline_$1_$arch.deb"
