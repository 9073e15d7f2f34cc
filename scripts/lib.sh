# shellcheck shell=bash
# What the scripts of this folder share. Also for any other command in an image, here the test image:
#   source scripts/lib.sh; find_engine
#   run_in_image test --volume "$PWD:$PWD" --workdir "$PWD" "${caller[@]}" -- COMMAND

# shellcheck disable=SC2034  # the scripts use it
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
engine=() # what builds and runs images, with its own options
caller=()

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# The comment that opens a script is its manual.
if [ "${1:-}" = --help ]; then
    sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0"
    exit
fi

# The wheels that pip may take for an image: those for its Debian, whatever runs here.
# shellcheck disable=SC2034
platforms=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64)
for glibc in {36..5}; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done

have() { command -v "$1" >/dev/null 2>&1; }

# Debian and Ubuntu, as root; fails elsewhere, and the caller says what is missing.
apt_install() {
    [ "$(id -u)" = 0 ] && have apt-get || return 1
    say "installing $*"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    # A third party's source may be down: what counts is whether the packages can be had.
    "${apt[@]}" update >/dev/null </dev/null || true
    "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null </dev/null
}

# interpreter VERSION: prints a Python of that version, from PATH or pyenv; fails where there is none.
# A pyenv shim is on PATH even where its Python is not chosen, so it must run to count.
interpreter() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# Sets $engine to docker, buildah or podman, whichever works here, and $caller to the options that
# make what the image writes belong to the user. Fails without any.
find_engine() {
    caller=(--user "$(id -u):$(id -g)")
    if have docker && timeout 30 docker info >/dev/null 2>&1; then
        engine=(docker)
    elif have buildah || { ! have podman && apt_install buildah; }; then
        find_buildah_storage || return 1
        if [ "$(id -u)" != 0 ]; then caller=(--user 0:0); fi # root inside is the user outside
    elif have podman; then
        engine=(podman)
        if [ "$(id -u)" != 0 ]; then caller+=(--userns keep-id); fi
    else
        return 1
    fi
}

# Chroot isolation needs neither a runtime nor cgroups, so it works inside a container too;
# vfs copies the whole image at every step (20 GB, minutes) where overlay cannot mount.
find_buildah_storage() {
    export BUILDAH_ISOLATION=chroot
    local driver
    for driver in overlay vfs; do
        engine=(buildah --storage-driver "$driver")
        buildah_works && return
    done
    say "Buildah cannot build an image on this machine: $complaint"
    return 1
}

# Builds the smallest image there is; sets $complaint where that fails.
buildah_works() {
    local folder image status=0
    folder=$(mktemp -d)
    printf 'FROM scratch\nCOPY Dockerfile /\n' >"$folder/Dockerfile"
    image=$("${engine[@]}" bud --quiet "$folder" 2>"$folder/log") || status=$?
    complaint=$(tail -n 1 "$folder/log")
    rm -r "$folder"
    if [ -n "$image" ]; then "${engine[@]}" rmi "$image" >/dev/null; fi
    return $status
}

image_exists() { "${engine[@]}" inspect --type image "$1" >/dev/null 2>&1; }

# Prints what identifies an image's contents, or nothing where the engine cannot tell.
image_digest() {
    local field=.Id
    if [ "${engine[0]}" = buildah ]; then field=.FromImageID; fi
    "${engine[@]}" inspect --type image --format "{{$field}}" "$1" 2>/dev/null || true
}

# run_in_image TARGET [--volume, --workdir, --user, --env ...] -- COMMAND [ARGUMENT...]
run_in_image() {
    local image=caffe-gradcam:$1 options=()
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    if [ "${engine[0]}" != buildah ]; then
        "${engine[@]}" run --rm --interactive "${options[@]}" --entrypoint "$1" "$image" "${@:2}"
        return
    fi
    ( # Buildah wants a working container, which is removed afterwards. It comments on every exit
      # status but 0, so the command's own comes back in a file.
        container=$("${engine[@]}" from --pull-never "$image") || exit
        report=$(mktemp -d)
        trap '"${engine[@]}" rm "$container" >/dev/null; rm -r "$report"' EXIT
        chmod 777 "$report"
        "${engine[@]}" run --volume "$report:/run/report" "${options[@]/#--workdir/--workingdir}" \
            "$container" -- sh -c '"$@"; echo $? >/run/report/status' sh "$@" || exit
        exit "$(cat "$report/status")"
    )
}
