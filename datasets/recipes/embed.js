// embed.js - what the recipes that run a network share: threads that make vectors in chunks, which are kept on the disk as
// they are done, and files of rows.
"use strict";
const crypto = require("crypto"), fs = require("fs"), os = require("os"), path = require("path");
const { Worker, isMainThread } = require("worker_threads");

// Writes OUT/NAME whole or not at all.
function save(out, name, bytes) {
    fs.writeFileSync(path.join(out, name + ".new"), bytes);
    fs.renameSync(path.join(out, name + ".new"), path.join(out, name));
}

// The numbers of the chunks in the file, which holds the digest of the items, then chunks in the order they were done.
function resume(fd, digest, bytes) {
    const head = Buffer.alloc(digest.length), number = Buffer.alloc(4), done = [];
    fs.readSync(fd, head, 0, head.length, 0);
    if (!head.equals(digest)) {
        fs.ftruncateSync(fd, 0);
        fs.writeSync(fd, digest, 0, digest.length, 0);
    }
    const whole = Math.floor((fs.fstatSync(fd).size - digest.length) / bytes);
    for (let i = 0; i < whole; i++) {
        fs.readSync(fd, number, 0, 4, digest.length + i * bytes);
        done.push(number.readUInt32LE());
    }
    fs.ftruncateSync(fd, digest.length + whole * bytes); // without what a killed run was writing
    return done;
}

// The vectors of `items`, `dim` floats each, one after the other. OUT/vectors has those of the chunks that are done; the
// caller removes it. `chunks`: a list of lists of the items' numbers, the longest with `size`; a chunk's vectors depend on
// nothing else. `key`: a text on which all vectors depend. `script` is run in each thread with `data` as workerData: it
// answers { number, items } with { number, vectors }, a Float32Array of size * dim. `what`: the items' name in messages.
async function embed({ out, items, chunks, size, dim, key, script, data, what }) {
    const digest = crypto.createHash("sha256").update(key).digest();
    const bytes = 4 + 4 * dim * size; // the number of the chunk, its vectors
    const fd = fs.openSync(path.join(out, "vectors"), fs.constants.O_RDWR | fs.constants.O_CREAT);
    const done = resume(fd, digest, bytes), had = new Set(done);
    const left = [...chunks.keys()].filter(i => !had.has(i)).reverse();
    const started = Date.now();
    let shown = 0, now = 0;
    const threads = Math.min(8, left.length, os.availableParallelism ? os.availableParallelism() : os.cpus().length);
    await Promise.all(Array.from({ length: threads }, () => new Promise((resolve, reject) => {
        const worker = new Worker(script, { workerData: data });
        const next = () => {
            if (!left.length)
                return worker.terminate().then(resolve);
            const number = left.shift();
            worker.postMessage({ number, items: chunks[number].map(i => items[i]) });
        };
        worker.on("error", reject);
        worker.on("message", ({ number, vectors }) => {
            const record = Buffer.alloc(bytes);
            record.writeUInt32LE(number);
            Buffer.from(vectors.buffer).copy(record, 4);
            fs.writeSync(fd, record, 0, record.length, digest.length + done.length * bytes);
            done.push(number);
            now += chunks[number].length;
            if (Date.now() - shown > 5000) {
                shown = Date.now();
                const total = Math.min(done.length * size, items.length); // the last chunk is shorter
                const rate = Math.round(1000 * now / (shown - started));
                console.log(`embedded ${total} of ${items.length} ${what}, ${rate} per second`);
            }
            next();
        });
        next();
    })));
    // From the order in which the chunks were done to that of the items
    const rows = Buffer.alloc(items.length * 4 * dim), record = Buffer.alloc(bytes);
    done.forEach((number, i) => {
        fs.readSync(fd, record, 0, record.length, digest.length + i * bytes);
        chunks[number].forEach((row, j) => record.copy(rows, row * 4 * dim, 4 + j * 4 * dim, 4 + (j + 1) * 4 * dim));
    });
    return rows;
}

// A file of rows, .fbin: each a Buffer of `dim` floats.
function saveRows(out, name, dim, rows) {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(rows.length);
    head.writeUInt32LE(dim, 4);
    save(out, name, Buffer.concat([head, ...rows]));
}

// A file of whole numbers, .i64.
function saveNumbers(out, name, numbers) {
    const bytes = Buffer.alloc(8 * numbers.length);
    numbers.forEach((x, i) => bytes.writeBigInt64LE(BigInt(x), 8 * i));
    save(out, name, bytes);
}

// Runs `work` in a thread and `main` in the program, whose failure is a line and an exit status.
function begin(work, main) {
    if (!isMainThread)
        work();
    else
        main().catch(error => {
            console.error(error.message);
            process.exit(1);
        });
}

module.exports = { begin, embed, save, saveNumbers, saveRows };
