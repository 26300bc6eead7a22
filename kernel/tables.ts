/**
 * The journal's tables: each row as a type, and the SQL that makes the tables.
 *
 * Rows are decoded on the way out, so a column that holds something else is an error and not a surprise.
 * Times are milliseconds since the epoch.
 */
import { Schema } from "effect"

/** `zombie` has exited and stays for its parent and for the record, as in a Unix process table. */
export const State = Schema.Literals(["ready", "running", "blocked", "stopped", "zombie"])
export type State = typeof State.Type

/** How a process, or a whole run, ended. */
export const ExitStatus = Schema.Literals(["ok", "failed", "killed", "budget", "denied", "interrupted"])
export type ExitStatus = typeof ExitStatus.Type

const Stored = Schema.fromJsonString(Schema.Json)
const StoredRecord = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json))

/** Where a text comes from, and whether what it says may be followed: only a person's words and the kernel's may. */
export const Label = Schema.Struct({
  integrity: Schema.Literals(["trusted", "untrusted"]),
  source: Schema.String
})
export type Label = typeof Label.Type
const StoredLabel = Schema.fromJsonString(Label)

/** Pages that are in a window, or have left it, together. */
export const Frame = Schema.Struct({
  /** An `exchange` is a call with its result; a `stub` stands for pages that have left the window. */
  kind: Schema.Literals(["system", "instructions", "task", "exchange", "stub"]),
  /** The first and the last ordinal of pages that follow each other. */
  pages: Schema.Array(Schema.Tuple([Schema.Int, Schema.Int])),
  /** What it takes of the window. */
  tokens: Schema.Int,
  /** Never leaves the window. */
  pinned: Schema.Boolean,
  /** The ordinal that was the newest when it was last used. */
  used: Schema.Int
})
export type Frame = typeof Frame.Type

/** Which of a context's pages lie in the window, in their order there. */
export const Layout = Schema.Struct({
  /** The newest ordinal it speaks of: later pages are in the window. */
  pages: Schema.Int,
  frames: Schema.Array(Frame),
  /** How often pages have left the window. */
  evictions: Schema.Int
})
export type Layout = typeof Layout.Type

/** One `noos run`, with the processes it started. */
export const Run = Schema.Struct({
  id: Schema.Int,
  started: Schema.Int,
  ended: Schema.NullOr(Schema.Int),
  status: Schema.NullOr(ExitStatus),
  task: Schema.String,
  /** The folder it works in, on the host. */
  workspace: Schema.String,
  model: Schema.String,
  /** Hash of the model file, where there is one. */
  hash: Schema.NullOr(Schema.String),
  options: StoredRecord,
  /** The operating system's pid of the noos process that drives it. A hint: such pids are used again. */
  owner: Schema.Int
})
export type Run = typeof Run.Type

/** A process as it is now. Its pid is never given to another one in this journal. */
export const Process = Schema.Struct({
  pid: Schema.Int,
  run: Schema.Int,
  parent: Schema.NullOr(Schema.Int),
  /** Whose context it continues, if it was forked, and how many pages of it. They are shared, not copied. */
  origin: Schema.NullOr(Schema.Int),
  shared: Schema.Int,
  program: Schema.String,
  state: State,
  /** Why it is in that state. */
  why: Schema.String,
  /** What it waits on, if it is blocked. */
  waiting: Schema.NullOr(Schema.String),
  priority: Schema.Int,
  budget: StoredRecord,
  usage: StoredRecord,
  /** Set by `exit`, with the answer. */
  status: Schema.NullOr(ExitStatus),
  answer: Schema.NullOr(Stored),
  /** Null while all of its pages are in the window. */
  layout: Schema.NullOr(Schema.fromJsonString(Layout)),
  created: Schema.Int,
  updated: Schema.Int
})
export type Process = typeof Process.Type

/** A syscall, both halves. `ended` is null while it runs, and for ever if nobody saw its end: outcome unknown. */
export const Call = Schema.Struct({
  id: Schema.Int,
  pid: Schema.Int,
  /** 1 for the process's first call. */
  seq: Schema.Int,
  tool: Schema.String,
  args: Stored,
  effect: Schema.Literals(["pure", "reversible", "irreversible"]),
  /** Unique in the world: the same for every attempt of this call. */
  key: Schema.String,
  started: Schema.Int,
  ended: Schema.NullOr(Schema.Int),
  ok: Schema.NullOr(Schema.BooleanFromBit),
  result: Schema.NullOr(Stored),
  error: Schema.NullOr(StoredRecord),
  /** What the model was shown of it. */
  text: Schema.NullOr(Schema.String)
})
export type Call = typeof Call.Type

/** One page of a context, as it was appended. `pid` is whoever appended it: a fork shares its parent's pages. */
export const Page = Schema.Struct({
  id: Schema.Int,
  pid: Schema.Int,
  /** Its place in the process's context, from 1. */
  ordinal: Schema.Int,
  role: Schema.Literals(["system", "instructions", "task", "thought", "call", "result", "summary", "note"]),
  text: Schema.String,
  /** What it takes in the window, with what opens or closes the turn before or after it. */
  tokens: Schema.Int,
  /** Whether only its beginning and its end were shown. */
  cut: Schema.BooleanFromBit,
  /** The syscall that a `call` or `result` page belongs to. */
  call: Schema.NullOr(Schema.Int),
  label: StoredLabel,
  /** The ordinal of the page whose text this one repeats, because it was recalled; 0 for several. */
  copy: Schema.NullOr(Schema.Int),
  created: Schema.Int
})
export type Page = typeof Page.Type

/** A text that is kept for later runs in the same folder. Current is the newest version that is not retracted. */
export const Memory = Schema.Struct({
  id: Schema.Int,
  /** The folder, on the host. */
  workspace: Schema.String,
  /** What it replaces: the earlier versions of the same key. Without a key it stands for itself. */
  key: Schema.NullOr(Schema.String),
  /** From 1 for each key, and never given twice. */
  version: Schema.Int,
  text: Schema.String,
  label: StoredLabel,
  /** Who remembered it. */
  run: Schema.Int,
  pid: Schema.Int,
  created: Schema.Int,
  /** When a rollback took it back. */
  retracted: Schema.NullOr(Schema.Int)
})
export type Memory = typeof Memory.Type

/**
 * One line of the log. `seq` grows over the whole journal, so a reader can go on where it stopped.
 * Kinds: `begin` and `end` of the run, `state`, `page`, `call`, `outcome`, and what `event` was given (`signal`, …).
 */
export const Event = Schema.Struct({
  seq: Schema.Int,
  run: Schema.Int,
  pid: Schema.NullOr(Schema.Int),
  at: Schema.Int,
  kind: Schema.String,
  data: StoredRecord
})
export type Event = typeof Event.Type

/** Marks the file as ours (`PRAGMA application_id`): "noos" in ASCII. */
export const applicationId = 0x6e6f6f73

/**
 * The schema, as the steps that led to it: `PRAGMA user_version` counts those a file has. Never change a step that
 * was released; add one.
 */
export const migrations: ReadonlyArray<ReadonlyArray<string>> = [
  [
    `CREATE TABLE runs (
      id INTEGER PRIMARY KEY AUTOINCREMENT, started INTEGER NOT NULL, ended INTEGER, status TEXT,
      task TEXT NOT NULL, workspace TEXT NOT NULL, model TEXT NOT NULL, hash TEXT, options TEXT NOT NULL,
      owner INTEGER NOT NULL, CHECK ((ended IS NULL) = (status IS NULL))
    ) STRICT`,
    `CREATE TABLE processes (
      pid INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES runs (id),
      parent INTEGER REFERENCES processes (pid), program TEXT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL,
      waiting TEXT, priority INTEGER NOT NULL, budget TEXT NOT NULL, usage TEXT NOT NULL, status TEXT, answer TEXT,
      created INTEGER NOT NULL, updated INTEGER NOT NULL, CHECK ((state = 'zombie') = (status IS NOT NULL))
    ) STRICT`,
    `CREATE INDEX processes_of_run ON processes (run)`,
    `CREATE TABLE syscalls (
      id INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL REFERENCES processes (pid), seq INTEGER NOT NULL,
      tool TEXT NOT NULL, args TEXT NOT NULL, effect TEXT NOT NULL, key TEXT NOT NULL,
      started INTEGER NOT NULL, ended INTEGER, ok INTEGER, result TEXT, error TEXT, text TEXT, UNIQUE (pid, seq),
      CHECK ((ended IS NULL) = (ok IS NULL) AND (ok IS 1) = (result IS NOT NULL) AND (ok IS 0) = (error IS NOT NULL))
    ) STRICT`,
    `CREATE INDEX syscalls_unfinished ON syscalls (pid) WHERE ended IS NULL`,
    `CREATE TABLE pages (
      id INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL REFERENCES processes (pid), ordinal INTEGER NOT NULL,
      role TEXT NOT NULL, text TEXT NOT NULL, tokens INTEGER NOT NULL, call INTEGER REFERENCES syscalls (id),
      created INTEGER NOT NULL, UNIQUE (pid, ordinal)
    ) STRICT`,
    `CREATE TABLE events (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES runs (id),
      pid INTEGER REFERENCES processes (pid), at INTEGER NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL
    ) STRICT`,
    `CREATE INDEX events_of_run ON events (run)`,
    `CREATE TRIGGER run_begins AFTER INSERT ON runs BEGIN
      INSERT INTO events (run, at, kind, data) VALUES (new.id, new.started, 'begin', '{}');
    END`,
    `CREATE TRIGGER run_ends AFTER UPDATE OF status ON runs BEGIN
      INSERT INTO events (run, at, kind, data)
      VALUES (new.id, new.ended, 'end', json_object('status', new.status));
    END`,
    `CREATE TRIGGER process_begins AFTER INSERT ON processes BEGIN
      INSERT INTO events (run, pid, at, kind, data)
      VALUES (new.run, new.pid, new.created, 'state', json_object('to', new.state, 'why', new.why));
    END`,
    `CREATE TRIGGER process_moves AFTER UPDATE OF state ON processes BEGIN
      INSERT INTO events (run, pid, at, kind, data) VALUES (new.run, new.pid, new.updated, 'state', json_object(
        'from', old.state, 'to', new.state, 'why', new.why, 'waiting', new.waiting, 'status', new.status));
    END`,
    `CREATE TRIGGER page_appended AFTER INSERT ON pages BEGIN
      INSERT INTO events (run, pid, at, kind, data)
      SELECT run, pid, new.created, 'page', json_object('id', new.id, 'ordinal', new.ordinal, 'role', new.role)
      FROM processes WHERE pid = new.pid;
    END`,
    `CREATE TRIGGER call_begins AFTER INSERT ON syscalls BEGIN
      INSERT INTO events (run, pid, at, kind, data)
      SELECT run, pid, new.started, 'call', json_object('id', new.id, 'seq', new.seq, 'tool', new.tool)
      FROM processes WHERE pid = new.pid;
    END`,
    `CREATE TRIGGER call_ends AFTER UPDATE OF ended ON syscalls BEGIN
      INSERT INTO events (run, pid, at, kind, data)
      SELECT run, pid, new.ended, 'outcome', json_object('id', new.id, 'ok', json(iif(new.ok, 'true', 'false')))
      FROM processes WHERE pid = new.pid;
    END`
  ],
  [
    `ALTER TABLE processes ADD COLUMN origin INTEGER REFERENCES processes (pid)`,
    `ALTER TABLE processes ADD COLUMN shared INTEGER NOT NULL DEFAULT 0`
  ],
  [
    `ALTER TABLE pages ADD COLUMN
      label TEXT NOT NULL DEFAULT '{"integrity":"untrusted","source":"unknown"}'`,
    `ALTER TABLE pages ADD COLUMN copy INTEGER`,
    `ALTER TABLE pages ADD COLUMN cut INTEGER NOT NULL DEFAULT 0`,
    `ALTER TABLE processes ADD COLUMN layout TEXT`,
    // The process is a word of its own (p12): a search reads no other process's postings.
    `CREATE VIRTUAL TABLE page_words USING fts5(text, process, content = '', tokenize = 'porter unicode61')`,
    `INSERT INTO page_words (rowid, text, process) SELECT id, text, 'p' || pid FROM pages WHERE role <> 'system'`,
    `CREATE TRIGGER page_indexed AFTER INSERT ON pages WHEN new.role <> 'system' AND new.copy IS NULL BEGIN
      INSERT INTO page_words (rowid, text, process) VALUES (new.id, new.text, 'p' || new.pid);
    END`,
    `CREATE TABLE memories (
      id INTEGER PRIMARY KEY AUTOINCREMENT, workspace TEXT NOT NULL, key TEXT, version INTEGER NOT NULL,
      text TEXT NOT NULL, label TEXT NOT NULL, run INTEGER NOT NULL REFERENCES runs (id),
      pid INTEGER NOT NULL REFERENCES processes (pid), created INTEGER NOT NULL, retracted INTEGER,
      UNIQUE (workspace, key, version)
    ) STRICT`,
    // The folder is one word. The stemmer cuts no digit off, so that no two folders become one.
    `CREATE VIRTUAL TABLE memory_words USING fts5(text, workspace, content = '', tokenize = 'porter unicode61')`,
    `CREATE TRIGGER memory_indexed AFTER INSERT ON memories BEGIN
      INSERT INTO memory_words (rowid, text, workspace)
      VALUES (new.id, coalesce(new.key || ' ', '') || new.text, 'w' || hex(new.workspace) || '0');
    END`
  ]
]
