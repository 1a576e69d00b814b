#!/bin/sh
# photos.sh - descriptors of the wallpapers in Debian's packages, for photo-sift and photo-hog (`kind` is sift or hog).
#
# OUT gets base.u8bin and query.u8bin, picture.npy (of each row of the base the number of its picture) and pictures.tsv.
# Every ninth picture, in the order of their paths, is for queries only. The rows of the base are in random
# order; sorted by their picture they are a stream that drifts. OpenCV takes one path on all processors (below), so the
# same versions make the same bytes.
# shellcheck disable=SC2154  # kind is set by who reads this file
# shellcheck source=datasets/recipes/recipe.sh
. "$(dirname "$0")/recipe.sh"

python=/usr/bin/python3
"$python" -c 'import cv2, numpy' 2>/dev/null || recipe_install photos
set -- gnome-backgrounds=43.1-1 lomiri-wallpapers-16.04=20.04.0-2 lomiri-wallpapers-20.04=20.04.0-2 \
    mate-backgrounds=1.26.0-1 plasma-workspace-wallpapers=4:5.27.5-2 ukui-wallpapers=20.04.3-1.1
recipe_packages 'usr/share/*' "$@"

# Without these instruction sets the code is that for any x86-64, which rounds alike everywhere.
export OPENCV_CPU_DISABLE=SSE4.1,SSE4.2,POPCNT,AVX,FP16,AVX2,FMA3,AVX512-SKX OPENCV_OPENCL_RUNTIME=disabled
exec "$python" - "$kind" "$out" "$packages" "$@" <<'PYTHON'
import ctypes, hashlib, multiprocessing, os, signal, sys, time
import cv2, numpy

kind, out, packages, *wallpapers = sys.argv[1:]
LONGEST, MOST_FEATURES, QUERY_EVERY, SEED = 2560, 20000, 9, 1
QUERIES = {"sift": 10000, "hog": 2000}[kind]
done = os.path.join(out, "described")

def pictures():
    """[(package/path, sha256)] of every distinct picture; of a folder of one wallpaper in many sizes the largest."""
    largest, seen, found = {}, set(), []
    for package in wallpapers:
        for folder, _, names in os.walk(os.path.join(packages, package.partition("=")[0])):
            for name in names:
                path = os.path.join(folder, name)
                if not name.lower().endswith((".jpg", ".jpeg", ".png")) or os.path.islink(path) or "screenshot" in name:
                    continue
                key = folder if folder.endswith("/contents/images") else path
                if key not in largest or (os.path.getsize(path), path) > (os.path.getsize(largest[key]), largest[key]):
                    largest[key] = path
    for path in sorted(largest.values(), key=lambda path: os.path.relpath(path, packages).partition("/")[2]):
        with open(path, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        if digest not in seen:
            seen.add(digest)
            found.append((os.path.relpath(path, packages), digest))
    return found

def grey(path):
    picture = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ValueError(path + ": not a picture; remove the folder of its package, and it is downloaded again")
    scale = LONGEST / max(picture.shape)
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture

def sift(picture):
    _, found = cv2.SIFT_create(nfeatures=MOST_FEATURES).detectAndCompute(picture, None)
    return numpy.zeros((0, 128)) if found is None else found

def hog(picture):
    """64 x 64 windows side by side over a pyramid of halves: 3 x 3 blocks of 2 x 2 cells of 9 directions."""
    descriptor, rows = cv2.HOGDescriptor((64, 64), (32, 32), (16, 16), (16, 16), 9), []
    while min(picture.shape) >= 64:
        rows.append(descriptor.compute(picture, winStride=(64, 64)).reshape(-1, 324) * 400)
        picture = cv2.pyrDown(picture)
    return numpy.concatenate(rows) if rows else numpy.zeros((0, 324))

def kept(digest):
    return os.path.join(done, "%s-%s.npy" % (kind, digest))

def save(path, write):
    with open(path + ".new", "wb") as f:
        write(f)
    os.rename(path + ".new", path)

def describe(picture):
    """Keeps the rows of one picture, so that a recipe that was killed need not describe it again."""
    path, digest = picture
    if not os.path.exists(kept(digest)):
        rows = {"sift": sift, "hog": hog}[kind](grey(os.path.join(packages, path)))
        rows = numpy.clip(numpy.rint(rows), 0, 255).astype(numpy.uint8)
        save(kept(digest), lambda f: numpy.save(f, rows[rows.any(axis=1)]))  # a uniform window has no gradient

def begin_worker():
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libpng's warnings

def write_u8bin(name, rows):
    def write(f):
        numpy.array(rows.shape, dtype="<u4").tofile(f)
        rows.tofile(f)
    save(os.path.join(out, name), write)
    print("%s: %d rows of %d bytes" % (name, *rows.shape))

cv2.setNumThreads(1)
os.makedirs(done, exist_ok=True)
found, shown = pictures(), 0
with multiprocessing.Pool(min(8, len(os.sched_getaffinity(0))), begin_worker) as pool:
    try:
        for i, _ in enumerate(pool.imap_unordered(describe, found)):
            if time.monotonic() - shown > 5:
                shown = time.monotonic()
                print("described %d of %d pictures" % (i + 1, len(found)), flush=True)
    except ValueError as error:
        sys.exit(str(error))

rows = [numpy.load(kept(digest)) for _, digest in found]
asked = numpy.arange(len(found)) % QUERY_EVERY == 0
query = numpy.concatenate([r for r, q in zip(rows, asked) if q])
query = query[numpy.linspace(0, len(query) - 1, min(QUERIES, len(query))).astype(int)]  # evenly over the pictures
base = numpy.concatenate([r for r, q in zip(rows, asked) if not q])
number = numpy.concatenate([numpy.full(len(r), i, dtype="<i4") for i, (r, q) in enumerate(zip(rows, asked)) if not q])
order = numpy.random.RandomState(SEED).permutation(len(base))
write_u8bin("query.u8bin", query)
save(os.path.join(out, "picture.npy"), lambda f: numpy.save(f, number[order]))
save(os.path.join(out, "pictures.tsv"), lambda f: f.write("".join(
    "%d\t%s\t%d\t%s\t%s\n" % (i, "query" if q else "base", len(r), digest, path)
    for i, ((path, digest), r, q) in enumerate(zip(found, rows, asked))).encode()))
write_u8bin("base.u8bin", base[order])
for _, digest in found:
    os.unlink(kept(digest))
os.rmdir(done)
PYTHON
