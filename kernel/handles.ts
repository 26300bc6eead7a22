/**
 * What a process holds open between its calls, as a Unix process holds file descriptors: its shell, its interpreter, its
 * browser, the process of a plugin. Nothing is opened before its first use, and all is released when the process ends.
 * A fork begins with nothing open: what it needs of its parent's it makes again from `ToolContext.history`.
 */
import { Effect, Exit, Scope } from "effect"
import type { ToolError } from "./tool.ts"

export interface Handles {
  /** What is open under a name; made now if nothing is. */
  readonly open: <A>(
    name: string,
    make: Effect.Effect<A, ToolError, Scope.Scope>
  ) => Effect.Effect<A, ToolError>
  /** Releases what is open under a name, if anything is. */
  readonly close: (name: string) => Effect.Effect<void>
}

/** No handles yet. All are released with the scope. */
export const makeHandles = (scope: Scope.Scope): Handles => {
  const held = new Map<string, { readonly value: unknown; readonly scope: Scope.Closeable }>()

  const close = (name: string) =>
    Effect.suspend(() => {
      const handle = held.get(name)
      held.delete(name)
      return handle === undefined ? Effect.void : Scope.close(handle.scope, Exit.void)
    })

  const open = <A>(name: string, make: Effect.Effect<A, ToolError, Scope.Scope>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        // A name always stands for the same kind of thing.
        const handle = held.get(name)
        if (handle !== undefined) return handle.value as A
        const own = yield* Scope.fork(scope)
        const value = yield* restore(Scope.provide(make, own)).pipe(
          Effect.onError(() => Scope.close(own, Exit.void))
        )
        held.set(name, { value, scope: own })
        return value
      })
    )

  return { open, close }
}
