#!/bin/sh
# recipe.sh - what the recipes share: how far they are, the programs that they need, the files of Debian's packages.
#
# Used as `. "$(dirname "$0")/recipe.sh"`. A recipe is called as NAME OUT [PACKAGES]: it makes its files under OUT, each
# complete or not there at all, and keeps what it downloads under PACKAGES (OUT/packages without), which recipes share.
# Killed at any time, it goes on from there when called again. The last line that it prints is shown as its progress.
# shellcheck disable=SC2034  # `recipes` and `packages` are for the recipes
set -eu
export LC_ALL=C

[ $# -ge 1 ] || { sed -n '2,/^[^#]/{/^# shellcheck/d;s/^# \{0,1\}//p}' "$0"; exit 2; }
recipes=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" "${2:-$1/packages}"
out=$(cd "$1" && pwd)
packages=$(cd "${2:-$1/packages}" && pwd)

# Held by every program that the recipe starts: what a killed recipe left behind has ended once this one goes on.
exec 8>"$out/recipe.lock"
flock 8

say() { printf '%s\n' "$*"; }

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# recipe_install GROUP - installs what the recipe runs, by the list of src/build/deps.sh.
recipe_install() {
    say "installing what the recipe needs (make deps-$1)"
    # setsid: ending the recipe does not end an installation half-way.
    (cd "$out" && setsid -w "$recipes/../../src/build/deps.sh" "$1" </dev/null 8>&-) || die "the recipe cannot run without these packages: $(
        cd "$out" && DRIFTLINE_NO_INSTALL=1 "$recipes/../../src/build/deps.sh" "$1" 2>/dev/null)"
}

# Options with which apt-get knows the packages: none if the system's lists do, else those of lists of our own.
recipe_lists() {
    apt_options="-o APT::Sandbox::User= -o Dpkg::Use-Pty=0"
    apt-cache show "$1" >/dev/null 2>&1 && return
    say "fetching the lists of Debian's packages"
    mkdir -p "$packages/apt/lists/partial" "$packages/apt/cache/archives/partial"
    apt_options="$apt_options -o Dir::State::lists=$packages/apt/lists -o Dir::Cache=$packages/apt/cache"
    # shellcheck disable=SC2086  # options
    apt-get -q $apt_options update >"$packages/apt/log" 2>&1 || die "apt-get update failed: $(tail -n 1 "$packages/apt/log")"
}

# recipe_packages PATTERN NAME=VERSION... - unpacks the files that match PATTERN, such as 'usr/share/backgrounds/*', of
# each package into $packages/NAME. A package of another version is used where that one is gone, and named.
recipe_packages() {
    pattern=$1 number=0
    shift
    # One recipe at a time; the lock ends with this process.
    exec 9>"$packages/lock"
    flock 9
    for wanted; do
        number=$((number + 1)) name=${wanted%%=*}
        [ -e "$packages/$name/.complete" ] && continue
        [ -n "${apt_options:-}" ] || recipe_lists "$name"
        say "downloading package $number of $#: $name"
        rm -rf "${packages:?}/$name" "$packages/new"
        mkdir "$packages/new"
        (
            cd "$packages/new"
            # shellcheck disable=SC2086  # options
            apt-get -q $apt_options download -- "$wanted" >../log 2>&1 ||
                apt-get -q $apt_options download -- "$name" >../log 2>&1 ||
                die "$name cannot be downloaded: $(tail -n 1 ../log)"
            dpkg-deb --fsys-tarfile ./*.deb | tar -xf - --no-same-owner --wildcards "./$pattern"
            dpkg-deb -f ./*.deb Version >.complete
            rm ./*.deb
        )
        mv "$packages/new" "$packages/$name"
    done
    exec 9>&-
    for wanted; do
        version=$(cat "$packages/${wanted%%=*}/.complete")
        [ "$version" = "${wanted#*=}" ] || say "${wanted%%=*} $version is used; the catalog's rows are of ${wanted#*=}"
    done
}

# recipe_modules FOLDER EXCLUDED NAME=VERSION... - unpacks the packages of npm to FOLDER/NAME each, without the files that
# match the pattern EXCLUDED.
recipe_modules() {
    folder=$1 excluded=$2
    shift 2
    # One recipe at a time; the lock ends with this process.
    exec 9>"$packages/lock"
    flock 9
    for wanted; do
        name=${wanted%=*} version=${wanted##*=}
        [ -e "$folder/$name" ] && continue
        [ "${DRIFTLINE_OFFLINE:-0}" = 0 ] || die "offline (DRIFTLINE_OFFLINE), and npm's package $name $version is not there"
        say "downloading $name $version"
        rm -rf "$packages/new"
        mkdir -p "$packages/new" "$(dirname "$folder/$name")"
        (cd "$packages/new" && npm pack --silent "$name@$version" >../log 2>&1 </dev/null) ||
            die "npm cannot download $name $version: $(tail -n 1 "$packages/log")"
        tar -xzf "$packages/new"/*.tgz -C "$packages/new" --no-same-owner --wildcards --exclude "$excluded"
        mv "$packages/new/package" "$folder/$name"
    done
    rm -rf "$packages/new"
    exec 9>&-
}
