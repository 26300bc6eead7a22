/** The tools that come with noos, in the order in which the model reads them. */
import type { AnyTool } from "../kernel/tool.ts"
import { browserTools } from "./browser/index.ts"
import { calc } from "./calc.ts"
import { code } from "./code.ts"
import { fsEdit, fsList, fsRead, fsWrite } from "./files.ts"
import { fsSearch } from "./search.ts"
import { shell } from "./shell.ts"
import { webFetch } from "./web.ts"

/** Those that a process has unless a person says otherwise. The embedded model was trained on this list. */
export const builtins: ReadonlyArray<AnyTool> = [shell, fsRead, fsWrite, fsEdit, fsList, fsSearch, calc]

/** Those that have to be granted by name. */
export const more: ReadonlyArray<AnyTool> = [webFetch, code, ...browserTools]
