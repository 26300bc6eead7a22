/**
 * The sandbox's contract: what a tool can do to the world, and nothing more.
 *
 * Commands run in a namespace where the workspace is the only writable place and there is no network;
 * files are reached by walking from the workspace's own descriptor, so no path can leave it.
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { ToolError } from "../kernel/tool.ts"
import type { Egress } from "./egress.ts"

/** Ceilings of one command. Passing one ends the command, never the kernel. */
export interface Limits {
  /** Wall clock, seconds. */
  readonly seconds: number
  /** Address space of each process, MiB. */
  readonly memoryMiB: number
  /** Processes and threads of the command together. */
  readonly processes: number
  /** Largest file it may write, MiB. */
  readonly fileMiB: number
  /** Bytes kept of stdout and of stderr; past it the command is ended. */
  readonly outputBytes: number
}

/** How a command ended. `reason` names the limit that ended it, if one did. */
export interface Completed {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly reason: "exit" | "signal" | "timeout" | "output" | "memory"
  readonly ms: number
}

/** The sandbox cannot be had on this machine: nothing runs outside it instead. */
export class SandboxUnavailable extends Schema.TaggedError<SandboxUnavailable>()("SandboxUnavailable", {
  message: Schema.String,
  hint: Schema.String
}) {}

/** One entry of a directory. `size` in bytes. */
export interface Entry {
  readonly name: string
  readonly kind: "file" | "directory" | "symlink" | "other"
  readonly size: number
}

/** A file or folder of the host that a program is to see, read-only unless `write`. */
export interface Mount {
  /** Absolute, on the host. */
  readonly from: string
  /** Absolute, as the program sees it. */
  readonly to: string
  readonly write?: boolean
}

/** What a program is started with. */
export interface Start {
  readonly cwd?: string
  /**
   * `seconds` bounds the program's whole life; default: as long as the scope. `outputBytes`: how much of each stream may
   * wait to be read; then the program waits too, as at any full pipe.
   */
  readonly limits?: Partial<Limits>
  /** Added to the environment. */
  readonly env?: { readonly [name: string]: string }
  readonly mounts?: ReadonlyArray<Mount>
  /** How it sees the workspace. Default: it may write. With `none` there is an empty folder in its place. */
  readonly workspace?: "write" | "read" | "none"
  /** What it may reach of the network, as the HTTP proxy that its environment names. Default: nothing. */
  readonly net?: Egress
}

/** A piece of what a program wrote. */
export interface Output {
  readonly stream: "stdout" | "stderr"
  readonly bytes: Uint8Array
}

/** A program that runs in the sandbox until it ends or its scope does, and is talked to. */
export interface Session {
  /** Into its standard input; done when the system has taken it. Fails with `unavailable` when it has ended. */
  readonly write: (data: string | Uint8Array) => Effect.Effect<void, ToolError>
  /** The next piece of output; undefined once it has ended and all has been read. */
  readonly read: Effect.Effect<Output | undefined>
  /** How it ended, when it has. `stdout` and `stderr` are empty: they were read. */
  readonly ended: Effect.Effect<Completed, ToolError>
}

/**
 * A folder that a process works in. Paths are relative to it, `/`-separated; `..`, absolute paths and
 * symlinks are resolved inside it or refused with `outside_workspace`.
 */
export interface Workspace {
  /** The folder on the host, for the kernel's own use; tools never need it. */
  readonly root: string
  /** Runs one command to its end. Never fails for what the command does; fails when it cannot be run at all. */
  readonly run: (
    argv: readonly [string, ...ReadonlyArray<string>],
    options?: Start & { readonly stdin?: string }
  ) => Effect.Effect<Completed, ToolError>
  /** Starts a program that goes on running. It is gone, with all that it started, when the scope has closed. */
  readonly start: (
    argv: readonly [string, ...ReadonlyArray<string>],
    options?: Start
  ) => Effect.Effect<Session, ToolError, Scope.Scope>
  /** The hosts that its process may reach, and the only way to them. */
  readonly net: Egress
  /** At most `maxBytes` of a regular file from byte `offset`, with the file's whole size. */
  readonly readFile: (
    path: string,
    options?: { readonly offset?: number; readonly maxBytes?: number }
  ) => Effect.Effect<{ readonly bytes: Uint8Array; readonly size: number }, ToolError>
  /** Replaces or creates a file at once (temporary file and rename), making missing folders. */
  readonly writeFile: (
    path: string,
    content: string | Uint8Array
  ) => Effect.Effect<{ readonly created: boolean }, ToolError>
  /** The entries of a directory, sorted by name. */
  readonly list: (path: string) => Effect.Effect<ReadonlyArray<Entry>, ToolError>
  /** A copy of it as it is when the copy is first used, discarded with the scope. Nothing is done before that. */
  readonly branch: Effect.Effect<Branch, ToolError, Scope.Scope>
}

/** What a branch has done to one path of its base. */
export interface Change {
  readonly path: string
  /** A path that was a file and is a folder now, or the like, is `changed`. Folders themselves are told only where they come, go or change their mode. */
  readonly kind: "added" | "changed" | "removed"
  /** The text of a small text file before and after, for diffs. */
  readonly before?: string
  readonly after?: string
}

/** A copy-on-write copy of a workspace: its base. Neither the base nor other branches see what is done in it. */
export interface Branch {
  readonly workspace: Workspace
  /** Another branch of the same base that goes on from where this one is now. While it lives, this one cannot be written. */
  readonly fork: Effect.Effect<Branch, ToolError, Scope.Scope>
  /** What it has changed since its base, sorted by path. */
  readonly changes: Effect.Effect<ReadonlyArray<Change>, ToolError>
  /**
   * Puts all changes into the base, all or none whatever crashes. Refuses with `unavailable` if the base is no longer what
   * it was when its first branch was made.
   */
  readonly commit: Effect.Effect<ReadonlyArray<Change>, ToolError>
}

/** Opens workspaces. Fails closed: without a working sandbox there is no workspace. */
export class Sandbox extends Context.Service<
  Sandbox,
  {
    /** `net`: the hosts that its processes may reach, see egress.ts. Default: none. */
    readonly open: (
      root: string,
      net?: ReadonlyArray<string>
    ) => Effect.Effect<Workspace, SandboxUnavailable | ToolError, Scope.Scope>
  }
>()("noos/Sandbox") {}
