/**
 * The system-call filter of a sandboxed command, as a classic BPF program that bubblewrap loads.
 *
 * It takes away the calls that reach past the bind mounts: other sockets than the internet families (which lead
 * nowhere, as there is no network), debugging, mounting, new namespaces, io_uring (which would do all of it unseen),
 * kernel interfaces, and files that run with their owner's rights. A filter for one processor family is enough:
 * calls made in another one's convention end the process.
 *
 * Sources: seccomp(2), the kernel's filter.h and unistd tables for x86-64 and the generic (aarch64) numbering.
 */

const load = 0x20 // BPF_LD | BPF_W | BPF_ABS
const jumpIfEqual = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
const jumpIfAtLeast = 0x35 // BPF_JMP | BPF_JGE | BPF_K
const jumpIfAnyBit = 0x45 // BPF_JMP | BPF_JSET | BPF_K
const giveBack = 0x06 // BPF_RET | BPF_K

/** One instruction: code, constant, and how many to skip when the test holds or does not. */
type Instruction = readonly [code: number, k: number, whenTrue?: number, whenFalse?: number]

const killProcess: Instruction = [giveBack, 0x80000000]
const allow: Instruction = [giveBack, 0x7fff0000]
const fail = (errno: number): Instruction => [giveBack, 0x00050000 | errno]
const EPERM = 1
const ENOSYS = 38
const EAFNOSUPPORT = 97

const number: Instruction = [load, 0]
const architecture: Instruction = [load, 4]
/** The low half of argument `n`; the calls looked at here take 32-bit values. Both families are little-endian. */
const argument = (n: number): Instruction => [load, 16 + 8 * n]

const architectures = { x64: 0xc000003e, arm64: 0xc00000b7 } as const
/** Numbers from here on are the x32 convention's, a second door to the same calls. */
const x32 = 0x40000000
/** The first number after the newest call known to this table. Later ones do not exist here. */
const firstUnknown = 470

/** Refused whole: [x86-64, aarch64], `-1` where a family has no such call. */
const refused: Readonly<Record<string, readonly [number, number]>> = {
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  process_madvise: [440, 440],
  pidfd_getfd: [438, 438],
  kcmp: [312, 272],
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_tree: [428, 428],
  open_tree_attr: [467, 467],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  unshare: [272, 97],
  setns: [308, 268],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  fanotify_init: [300, 262],
  lookup_dcookie: [212, 18],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  reboot: [169, 142],
  swapon: [167, 224],
  swapoff: [168, 225],
  acct: [163, 89],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  syslog: [103, 116],
  vhangup: [153, 58],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  clock_settime: [227, 112],
  settimeofday: [164, 170],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  personality: [135, 92],
  mbind: [237, 235],
  set_mempolicy: [238, 237],
  migrate_pages: [256, 238],
  move_pages: [279, 239],
  memfd_secret: [447, 447],
  iopl: [172, -1],
  ioperm: [173, -1],
  modify_ldt: [154, -1],
  uselib: [134, -1],
  ustat: [136, -1],
  sysfs: [139, -1],
  _sysctl: [156, -1],
  nfsservctl: [180, 42]
}

/** Said not to exist, so that callers take the older call, whose arguments a filter can read. */
const absent: Readonly<Record<string, readonly [number, number]>> = {
  clone3: [435, 435],
  openat2: [437, 437]
}

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const newNamespaces = 0x7e020000
/** S_ISUID and S_ISGID: a program that runs with the rights of its owner, whoever starts it. */
const ownersRights = 0o6000

/** Fails with EPERM when argument `n` has any of `bits`. */
const refuseBits = (n: number, bits: number): ReadonlyArray<Instruction> => [
  argument(n),
  [jumpIfAnyBit, bits, 0, 1],
  fail(EPERM),
  allow
]

/** Checks the mode of an open only where it counts: O_CREAT (and O_TMPFILE, whose own bit is 0o20000000). */
const refuseBitsOnCreate = (flags: number, mode: number): ReadonlyArray<Instruction> => [
  argument(flags),
  [jumpIfAnyBit, 0o20000100, 1, 0],
  allow,
  ...refuseBits(mode, ownersRights)
]

/** Refused for some arguments. Every body ends the program. */
const looked: ReadonlyArray<readonly [readonly [number, number], ReadonlyArray<Instruction>]> = [
  // socket: the internet families only. No AF_UNIX, netlink, packet, or vsock (the way to a virtual machine's host).
  [
    [41, 198],
    [argument(0), [jumpIfEqual, 2, 2, 0], [jumpIfEqual, 10, 1, 0], fail(EAFNOSUPPORT), allow]
  ],
  // socketpair: a connected stream reaches nobody else; a datagram one could still send to a socket file.
  [
    [53, 199],
    [argument(1), [jumpIfAnyBit, 0xe, 1, 0], allow, fail(EAFNOSUPPORT)]
  ],
  [[56, 220], refuseBits(0, newNamespaces)], // clone
  // ioctl: TIOCSTI types into a terminal, TIOCLINUX pastes into one.
  [
    [16, 29],
    [argument(1), [jumpIfEqual, 0x5412, 1, 0], [jumpIfEqual, 0x541c, 0, 1], fail(EPERM), allow]
  ],
  [[90, -1], refuseBits(1, ownersRights)], // chmod
  [[91, 52], refuseBits(1, ownersRights)], // fchmod
  [[268, 53], refuseBits(2, ownersRights)], // fchmodat
  [[452, 452], refuseBits(2, ownersRights)], // fchmodat2
  [[85, -1], refuseBits(1, ownersRights)], // creat
  [[133, -1], refuseBits(1, ownersRights)], // mknod
  [[259, 33], refuseBits(2, ownersRights)], // mknodat
  [[2, -1], refuseBitsOnCreate(1, 2)], // open
  [[257, 56], refuseBitsOnCreate(2, 3)] // openat
]

/** Does `body`, which must end the program, when the number in the accumulator is `syscall`. */
const when = (syscall: number, body: ReadonlyArray<Instruction>): ReadonlyArray<Instruction> =>
  syscall < 0 ? [] : [[jumpIfEqual, syscall, 0, body.length], ...body]

/** The filter for a processor family, as bytes of `struct sock_filter`; `undefined` where there is none yet. */
export const seccompFilter = (arch: string): Uint8Array | undefined => {
  if (arch !== "x64" && arch !== "arm64") return undefined
  const column = arch === "x64" ? 0 : 1
  const program: ReadonlyArray<Instruction> = [
    architecture,
    [jumpIfEqual, architectures[arch], 1, 0],
    killProcess,
    number,
    [jumpIfAtLeast, x32, 0, 1],
    killProcess,
    [jumpIfAtLeast, firstUnknown, 0, 1],
    fail(ENOSYS),
    ...looked.flatMap(([numbers, body]) => when(numbers[column], body)),
    ...Object.values(refused).flatMap((numbers) => when(numbers[column], [fail(EPERM)])),
    ...Object.values(absent).flatMap((numbers) => when(numbers[column], [fail(ENOSYS)])),
    allow
  ]
  const bytes = new DataView(new ArrayBuffer(program.length * 8))
  for (const [i, [code, k, whenTrue = 0, whenFalse = 0]] of program.entries()) {
    bytes.setUint16(i * 8, code, true)
    bytes.setUint8(i * 8 + 2, whenTrue)
    bytes.setUint8(i * 8 + 3, whenFalse)
    bytes.setUint32(i * 8 + 4, k, true)
  }
  return new Uint8Array(bytes.buffer)
}
