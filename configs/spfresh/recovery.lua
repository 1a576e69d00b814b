-- recovery.lua - Recovery time of SPFresh after a kill, by the length of the write-ahead log and the checkpoint
-- interval.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- After the load, rows arrive in rounds. Each round inserts twice as many as the one before and deletes as many of
-- the oldest half as long. Then the index is abandoned as a killed process would leave it, opened again from its
-- folder, and searched with the same queries. A checkpoint is due when the log has grown by checkpoint_mb. With few
-- checkpoints recovery replays much; with many the updates pay for snapshots. wal = synced also survives a failure of
-- the machine. The cost of its fsyncs depends on the disk alone.

local spfresh = require "spfresh"
local sift    = require("datasets").open "photo-sift"
local n       = option("rows", quick and 5000 or 50000, "descriptors loaded")
local rounds  = option("rounds", quick and 3 or 6, "rounds, each twice as long as the one before")
local first   = option("first", quick and 250 or 1000, "descriptors that come in the first")
local queries = sift:queries(option("queries", quick and 100 or 500, "asked"))

local never, often, synced = "no checkpoint", "checkpoint every MB", "no checkpoint, synced"

local function spfresh_with(label, params)
  return method { "spfresh", label = label, params = spfresh.with(spfresh.as_released, params), knobs = { nprobe = 32 } }
end
local function at(r, label, metric, tag, i) return r(label, ("%s/%s#%d"):format(metric, tag, i)) end
local labels = { never, "checkpoint every 4 MB", often, synced }

experiment {
  name = "spfresh_recovery",
  title = "SPFresh recovering from a kill",
  publication = "SPANN and SPFresh",
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { sift:rows(1, n), tag = "train" }
    w:insert { sift:rows(1, n), tag = "load" }
    local at, size = n, first
    for _ = 1, rounds do
      w:insert { sift:rows(at + 1, at + size), batch = 10, tag = "arrive" }
      w:delete { oldest = size // 2, batch = 10, tag = "leave" }
      w:search { queries, tag = "before" }
      w:recover { tag = "recover" }
      w:search { queries, tag = "after" }
      at, size = at + size, 2 * size
    end
  end,

  methods = {
    spfresh_with(never, { checkpoint_mb = 100000 }),
    spfresh_with("checkpoint every 4 MB", { checkpoint_mb = 4 }),
    spfresh_with(often, { checkpoint_mb = 1 }),
    spfresh_with(synced, { checkpoint_mb = 100000, wal = "synced" }),
  },

  claims = {
    { "(ours) nothing acknowledged is lost: as many live after recovery as before, and no answer is wrong", function(r)
      for _, label in ipairs(labels) do
        if r(label, "wrong_ids/after") ~= 0 or r(label, "live/after") ~= r(label, "live/before") then return false end
      end
      return true
    end },
    { "(ours) recall after recovery is that before, within half a point, each time", function(r)
      for _, label in ipairs(labels) do
        for i = 1, rounds do
          if math.abs(at(r, label, "recall@10", "after", i) - at(r, label, "recall@10", "before", i)) > 0.005 then return false end
        end
      end
      return true
    end },
    { "(ours) recovery takes longer the longer the log is: without checkpoints the last takes longer than the first", function(r)
      return at(r, never, "seconds", "recover", rounds) > at(r, never, "seconds", "recover", 1)
    end },
    { "(ours) checkpoints bound it: with one every MB the last recovery takes less time than without (from 4 MB of log on)", function(r)
      return at(r, never, "stats.wal_bytes", "leave", rounds) < 4e6
        or at(r, often, "seconds", "recover", rounds) < at(r, never, "seconds", "recover", rounds)
    end },
  },

  figures = {
    { "timeline", y = "seconds", where = { tag = "recover" }, title = "Time to recover, round by round (log doubled each time)" },
    { "timeline", y = "recall@10", where = { tag = { "before", "after" } }, title = "Recall before and after the kill" },
    { "bars", y = "ns_each", x = "label", group = "tag", where = { tag = { "arrive", "leave" } }, title = "ns per update" },
    { "timeline", y = "disk_bytes", where = { tag = "arrive" }, title = "Disk" },
  },
}
