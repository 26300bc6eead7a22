/** The tools that come with noos, in the order in which the model reads them. */
import type { AnyTool } from "../kernel/tool.ts"
import { calc } from "./calc.ts"
import { fsEdit, fsList, fsRead, fsWrite } from "./files.ts"
import { fsSearch } from "./search.ts"
import { shell } from "./shell.ts"

export const builtins: ReadonlyArray<AnyTool> = [shell, fsRead, fsWrite, fsEdit, fsList, fsSearch, calc]
