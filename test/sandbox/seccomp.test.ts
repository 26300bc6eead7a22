import { describe, expect, it } from "@effect/vitest"
import { seccompFilter } from "../../sandbox/seccomp.ts"

/** Runs a classic BPF program over a `struct seccomp_data`, as the kernel does; gives the returned action. */
const decide = (
  program: Uint8Array,
  arch: number,
  number: number,
  args: ReadonlyArray<bigint> = []
): number => {
  const data = new DataView(new ArrayBuffer(64))
  data.setUint32(0, number, true)
  data.setUint32(4, arch, true)
  for (const [i, arg] of args.entries()) data.setBigUint64(16 + 8 * i, arg, true)
  const code = new DataView(program.buffer)
  let accumulator = 0
  for (let at = 0; at < program.length; at += 8) {
    const [jt, jf, k] = [code.getUint8(at + 2), code.getUint8(at + 3), code.getUint32(at + 4, true)]
    const jump = (holds: boolean) => {
      at += 8 * (holds ? jt : jf)
    }
    const op = code.getUint16(at, true)
    if (op === 0x20) accumulator = data.getUint32(k, true)
    else if (op === 0x15) jump(accumulator === k)
    else if (op === 0x35) jump(accumulator >= k)
    else if (op === 0x45) jump((accumulator & k) !== 0)
    else if (op === 0x06) return k
    else throw new Error(`instruction ${op}`)
  }
  throw new Error("ran off the end")
}

const allow = 0x7fff0000
const kill = 0x80000000
const error = (errno: number) => 0x50000 + errno

const families = [
  { name: "x64", arch: 0xc000003e, other: 0x40000003 },
  { name: "arm64", arch: 0xc00000b7, other: 0x40000028 }
] as const

/** System call numbers of both families, from the kernel's tables. */
const calls = {
  read: [0, 63],
  openat: [257, 56],
  socket: [41, 198],
  socketpair: [53, 199],
  clone: [56, 220],
  clone3: [435, 435],
  ptrace: [101, 117],
  mount: [165, 40],
  unshare: [272, 97],
  setns: [308, 268],
  bpf: [321, 280],
  io_uring_setup: [425, 425],
  keyctl: [250, 219],
  userfaultfd: [323, 282],
  perf_event_open: [298, 241],
  ioctl: [16, 29],
  fchmod: [91, 52],
  fchmodat: [268, 53],
  execve: [59, 221],
  exit_group: [231, 94]
} as const

describe.each(families)("the system-call filter of $name", ({ name, arch, other }) => {
  const program = seccompFilter(name)!
  const of = (call: keyof typeof calls, ...args: ReadonlyArray<number>) =>
    decide(program, arch, calls[call][name === "x64" ? 0 : 1], args.map(BigInt))

  it("is a valid program of a length the kernel takes", () => {
    expect(program.length % 8).toBe(0)
    expect(program.length / 8).toBeLessThan(4096)
  })

  it("lets ordinary calls through", () => {
    expect(of("read")).toBe(allow)
    expect(of("execve")).toBe(allow)
    expect(of("exit_group")).toBe(allow)
    expect(of("clone", 0x01200011)).toBe(allow) // what fork(3) passes
    expect(of("openat", 0xffffff9c, 0, 0o1101, 0o644)).toBe(allow)
    expect(of("openat", 0xffffff9c, 0, 0, 0xffff)).toBe(allow) // without O_CREAT the mode is noise
    expect(of("socket", 2, 1)).toBe(allow)
    expect(of("socket", 10, 2)).toBe(allow)
    expect(of("socketpair", 1, 0x80801)).toBe(allow)
    expect(of("ioctl", 0, 0x5413)).toBe(allow)
    expect(of("fchmod", 3, 0o755)).toBe(allow)
  })

  it("refuses the dangerous ones", () => {
    for (const call of ["ptrace", "mount", "unshare", "setns", "bpf", "io_uring_setup"] as const) {
      expect([call, of(call)]).toEqual([call, error(1)])
    }
    for (const call of ["keyctl", "userfaultfd", "perf_event_open"] as const) {
      expect([call, of(call)]).toEqual([call, error(1)])
    }
    expect(of("clone3")).toBe(error(38))
  })

  it("looks at arguments where these make the difference", () => {
    for (const domain of [1, 16, 17, 38, 40]) expect(of("socket", domain, 1)).toBe(error(97))
    for (const type of [2, 3, 5]) expect(of("socketpair", 1, type)).toBe(error(97))
    for (const flag of [0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]) {
      expect(of("clone", flag | 17)).toBe(error(1))
    }
    expect(of("ioctl", 0, 0x5412)).toBe(error(1))
    expect(of("ioctl", 0, 0x541c)).toBe(error(1))
    expect(decide(program, arch, calls.ioctl[name === "x64" ? 0 : 1], [0n, 0xff00005412n])).toBe(error(1))
    expect(of("fchmod", 3, 0o4755)).toBe(error(1))
    expect(of("fchmodat", 3, 0, 0o2755)).toBe(error(1))
    expect(of("openat", 0xffffff9c, 0, 0o101, 0o4755)).toBe(error(1))
    expect(of("openat", 0xffffff9c, 0, 0o20200002, 0o4755)).toBe(error(1))
  })

  it("ends processes that call in another family's convention", () => {
    expect(decide(program, other, 0)).toBe(kill)
    expect(decide(program, arch, 0x40000000 + 41, [1n, 1n])).toBe(kill)
    expect(decide(program, arch, 100_000)).toBe(error(38))
  })
})

describe("a processor without a table", () => {
  it("has no filter", () => {
    expect(seccompFilter("riscv64")).toBeUndefined()
  })
})
