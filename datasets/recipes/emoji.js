// emoji.js OUT LIST PACKAGES MODULES - embeds the pictures in PACKAGES/emoji-VERSION/NAME of the NAME=VERSION lines in LIST
// with the networks in MODULES/node_modules/nsfwjs; see the recipe emoji.
"use strict";
const crypto = require("crypto"), fs = require("fs"), path = require("path");
const { isMainThread, parentPort, workerData } = require("worker_threads");
const { begin, embed, save, saveNumbers, saveRows } = require("./embed.js");
const [out, list, packages, modules] = isMainThread ? process.argv.slice(2) : workerData;
const load = require("module").createRequire(path.join(modules, "node_modules/"));
const { PNG } = load("pngjs");

const SIDE = 64; // pixels of a picture, and of what the networks get
const DIM = 1280, MODELS = 2;
const BATCH = 16, CHUNK = 64; // pictures
const QUERY_EVERY = 20;
const MAKERS = ["google", "twitter"];

// 1. Pictures

// The colours of a picture on white, from 0 to 1
function colours(file) {
    const { width, height, data } = PNG.sync.read(fs.readFileSync(file)), x = new Float32Array(3 * SIDE * SIDE);
    if (width !== SIDE || height !== SIDE)
        throw new Error(`${file}: ${width} x ${height} pixels, expected ${SIDE} x ${SIDE}`);
    for (let i = 0; i < SIDE * SIDE; i++)
        for (let c = 0; c < 3; c++)
            x[3 * i + c] = (data[4 * i + c] * data[4 * i + 3] / 255 + 255 - data[4 * i + 3]) / 255;
    return x;
}

// Seconds since 1970 of the day that CHANGES.md has for a version
function released(folder, version) {
    const lines = fs.readFileSync(path.join(folder, "CHANGES.md"), "utf8").split("\n");
    const line = lines.find(l => l.endsWith(` : v${version}`));
    const day = line ? Date.parse(line.slice(3, 13)) / 1000 : NaN;
    if (!(day > 0))
        throw new Error(`${folder}/CHANGES.md: no line "## YEAR-MONTH-DAY : v${version}"`);
    return day;
}

// The distinct pictures, in order of time: [{ maker, version, time, symbol, file, hash }]. Those of one day are in a
// fixed random order.
function select() {
    const all = fs.readFileSync(list, "utf8").trim().split("\n").flatMap(line => {
        const [name, version] = line.split("="), folder = path.join(packages, `emoji-${version}`, name);
        const maker = MAKERS.indexOf(name.replace("emoji-datasource-", ""));
        const time = released(folder, version), pictures = path.join(folder, "img", MAKERS[maker], String(SIDE));
        return fs.readdirSync(pictures).filter(f => f.endsWith(".png")).map(f => {
            const symbol = f.replace(".png", ""), of = `${maker} ${version} ${symbol}`;
            return { maker, version, time, symbol, file: path.join(pictures, f), order: crypto.createHash("sha256").update(of).digest("hex") };
        });
    }).sort((a, b) => a.time - b.time || (a.order < b.order ? -1 : 1));
    const seen = new Set(), distinct = [];
    let shown = Date.now();
    all.forEach((p, i) => {
        p.hash = crypto.createHash("sha256").update(colours(p.file)).digest("hex");
        if (!seen.has(p.maker + p.hash))
            distinct.push(p);
        seen.add(p.maker + p.hash);
        if (Date.now() - shown > 5000) {
            shown = Date.now();
            console.log(`read ${i} of ${all.length} pictures`);
        }
    });
    console.log(`${distinct.length} distinct pictures of ${all.length}`);
    return distinct;
}

// 2. Vectors

// A model of nsfwjs as tfjs loads it, and its description, which may be changed before
function stored(name, shards) {
    const folder = path.join(modules, "node_modules/nsfwjs/dist/models", name);
    const text = shard => { const s = load(path.join(folder, shard + ".min.js")); return s.default || s; };
    const description = load(path.join(folder, "model.min.js"));
    const weights = Buffer.concat(shards.map(shard => Buffer.from(text(shard), "base64")));
    return { modelTopology: description.modelTopology, weightSpecs: description.weightsManifest.flatMap(group => group.weights),
             weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.length) };
}

// Each model up to its last convolution: function(tensor of pictures) -> tensor of pictures x height x width x channels.
async function networks() {
    const narrow = stored("mobilenet_v2", ["group1-shard1of1"]), config = narrow.modelTopology.model_config.config;
    config.layers = config.layers.slice(0, config.layers.findIndex(layer => layer.name === "out_relu") + 1);
    config.layers[0].config.batch_input_shape = [null, SIDE, SIDE, 3];
    config.output_layers = [["out_relu", 0, 0]];
    const layers = await load("@tensorflow/tfjs-layers").loadLayersModel({ load: async () => narrow }, { strict: false });
    const wide = stored("mobilenet_v2_mid", ["group1-shard1of2", "group1-shard2of2"]), nodes = wide.modelTopology.node;
    const size = nodes.find(node => node.op === "Placeholder").attr.shape.shape.dim;
    size[1].size = size[2].size = String(SIDE);
    const last = nodes.find(node => node.name.endsWith("/Conv_1/Relu6")).name;
    const graph = await load("@tensorflow/tfjs-converter").loadGraphModel({ load: async () => wide });
    return [x => layers.predict(x), x => graph.execute(x, last)];
}

// A thread: answers chunks of file names with their vectors, of each picture one by each model.
async function thread() {
    const tf = load("@tensorflow/tfjs-core");
    load("@tensorflow/tfjs-backend-wasm");
    await tf.setBackend("wasm");
    const models = await networks();
    parentPort.on("message", ({ number, items: files }) => {
        const vectors = new Float32Array(CHUNK * MODELS * DIM);
        for (let first = 0; first < files.length; first += BATCH) {
            const some = files.slice(first, first + BATCH), x = new Float32Array(some.length * 3 * SIDE * SIDE);
            some.forEach((file, i) => x.set(colours(file), i * 3 * SIDE * SIDE));
            models.forEach((model, m) => tf.tidy(() => {
                const y = model(tf.tensor4d(x, [some.length, SIDE, SIDE, 3])), [, height, width, channels] = y.shape;
                const values = y.dataSync(), area = height * width;
                some.forEach((_, i) => {
                    const to = ((first + i) * MODELS + m) * DIM, mean = new Float64Array(DIM);
                    for (let a = 0; a < area; a++)
                        for (let j = 0; j < DIM; j++)
                            mean[j] += values[(i * area + a) * channels + j];
                    const length = Math.sqrt(mean.reduce((sum, v) => sum + v * v, 0));
                    mean.forEach((v, j) => { vectors[to + j] = v / length; });
                });
            }));
        }
        parentPort.postMessage({ number, vectors }, [vectors.buffer]);
    });
}

// 3. Files

function writeRows(prefix, pictures, rows, chosen) {
    const head = prefix ? "query-" : "", part = prefix ? "query.fbin" : "base.fbin";
    const row = model => i => rows.subarray((i * MODELS + model) * 4 * DIM, (i * MODELS + model + 1) * 4 * DIM);
    saveNumbers(out, head + "time.i64", chosen.map(i => pictures[i].time));
    saveNumbers(out, head + "maker.i64", chosen.map(i => pictures[i].maker));
    save(out, head + "pictures.txt", chosen.map(i => `${MAKERS[pictures[i].maker]}\t${pictures[i].version}\t${pictures[i].symbol}\n`).join(""));
    saveRows(out, "mid-" + part, DIM, chosen.map(row(1)));
    saveRows(out, part, DIM, chosen.map(row(0)));
}

async function main() {
    const pictures = select(), numbers = pictures.map((_, i) => i);
    const chunks = Array.from({ length: Math.ceil(numbers.length / CHUNK) }, (_, i) => numbers.slice(i * CHUNK, (i + 1) * CHUNK));
    const rows = await embed({ out, items: pictures.map(p => p.file), chunks, size: CHUNK, dim: MODELS * DIM, key: pictures.map(p => p.hash).join(),
                               script: __filename, data: [out, list, packages, modules], what: "pictures" });
    console.log("writing the vectors");
    const isQuery = i => i % QUERY_EVERY === QUERY_EVERY / 2; // evenly over time
    writeRows("query", pictures, rows, numbers.filter(isQuery));
    writeRows("", pictures, rows, numbers.filter(i => !isQuery(i)));
    fs.unlinkSync(path.join(out, "vectors"));
}

begin(thread, main);
