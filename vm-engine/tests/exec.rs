//! Runs every case of `tests/exec/<guest>/*.txt` on every tier. The format is described in `exec/riscv64/int_reg.txt`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use vm_core::{
    Access, ByteMemory, CpuState, Exit, GuestAddr, GuestArch, GuestMemory, GuestRange, MemFault, Mode, Perms, Slot,
    Trap,
};
use vm_cross_arch_support::riscv64::x;
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline, registry};
use vm_engine::{Config, Engine, Exact, TierPolicy, Vcpu};
use vm_ir::{BlockSource, SlotInfo};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

/// Where the instruction lies; its page is executable.
const CODE: GuestAddr = GuestAddr::new(0x1000);
/// The page of data.
const DATA: GuestAddr = GuestAddr::new(0x1_0000);
const PAGE: usize = 4096;

/// A way to run a case.
#[derive(Clone, Copy, Debug)]
enum Tier {
    Interpreter,
    #[cfg(feature = "jit")]
    Compiled,
    #[cfg(feature = "jit")]
    CompiledExactRegisters,
}

impl Tier {
    const ALL: &[Self] = &[
        Self::Interpreter,
        #[cfg(feature = "jit")]
        Self::Compiled,
        #[cfg(feature = "jit")]
        Self::CompiledExactRegisters,
    ];

    fn config(self) -> Config {
        let (tier, exact) = match self {
            Self::Interpreter => (TierPolicy::Interpret, Exact::Pc),
            #[cfg(feature = "jit")]
            Self::Compiled => (TierPolicy::Compile, Exact::Pc),
            #[cfg(feature = "jit")]
            Self::CompiledExactRegisters => (TierPolicy::Compile, Exact::Registers),
        };
        Config { tier, exact, ..Config::default() }
    }
}

/// What a case names: slots with values, other registers, memory.
#[derive(Clone, Debug, Default, PartialEq)]
struct Words {
    slots: Vec<(Slot, u64)>,
    memory: Vec<(GuestAddr, Vec<u8>)>,
    pc: Option<u64>,
    fflags: Option<u64>,
    frm: Option<u64>,
    /// `trap=`.
    trap: Option<String>,
    /// `exit=`.
    exit: Option<String>,
}

struct Case {
    file: PathBuf,
    line: usize,
    text: String,
    bytes: Vec<u8>,
    before: Words,
    after: Words,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

/// Everything that a case compares.
#[derive(Clone, PartialEq)]
struct Outcome {
    state: CpuState,
    memory: Vec<u8>,
    end: String,
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return Err(format!("{text:?} is no whole number of bytes"));
    }
    let digits = |at| u8::from_str_radix(text.get(at..at + 2).unwrap_or(""), 16);
    (0..text.len()).step_by(2).map(|at| digits(at).map_err(|error| format!("{text:?}: {error}"))).collect()
}

fn number(text: &str) -> Result<u64, String> {
    let value = match (text.strip_prefix("0x"), text.strip_prefix('-')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16),
        (None, Some(_)) => text.parse::<i64>().map(|value| value as u64),
        (None, None) => text.parse(),
    };
    value.map_err(|error| format!("{text:?}: {error}"))
}

fn words(text: &str, slots: &[SlotInfo]) -> Result<Words, String> {
    let mut words = Words::default();
    for item in text.split_whitespace().filter(|item| *item != "-") {
        let (name, value) = item.split_once('=').ok_or_else(|| format!("{item:?} is not name=value"))?;
        if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            words.memory.push((GuestAddr::new(number(address)?), hex(value)?));
            continue;
        }
        match name {
            "pc" => words.pc = Some(number(value)?),
            "fflags" => words.fflags = Some(number(value)?),
            "frm" => words.frm = Some(number(value)?),
            "trap" => words.trap = Some(value.to_owned()),
            "exit" => words.exit = Some(value.to_owned()),
            _ => {
                let slot = slots.iter().find(|info| info.name == name).ok_or_else(|| format!("no slot {name:?}"))?;
                words.slots.push((slot.slot, number(value)?));
            }
        }
    }
    Ok(words)
}

fn case(file: &Path, number: usize, line: &str, slots: &[SlotInfo]) -> Result<Option<Case>, String> {
    let line = line.split('#').next().unwrap_or("").trim_end();
    if line.is_empty() {
        return Ok(None);
    }
    let columns: Vec<&str> = line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    let [bytes, text, before, after] = columns[..] else {
        return Err(format!("{} columns instead of bytes, instruction, in and out", columns.len()));
    };
    let (bytes, before, after) = (hex(bytes)?, words(before, slots)?, words(after, slots)?);
    Ok(Some(Case { file: file.to_owned(), line: number, text: text.to_owned(), bytes, before, after }))
}

fn read_cases(directory: &Path, slots: &[SlotInfo]) -> Vec<Case> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the tables are there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "txt")) {
        let text = std::fs::read_to_string(file).expect("a readable table");
        for (index, line) in text.lines().enumerate() {
            match case(file, index + 1, line, slots) {
                Ok(found) => cases.extend(found),
                Err(error) => panic!("{}:{}: {error}", file.display(), index + 1),
            }
        }
    }
    cases
}

/// Writes what `words` name into a state, and into a picture of the data page.
fn apply(words: &Words, state: &mut CpuState, memory: &mut [u8]) {
    for &(slot, value) in &words.slots {
        state.set(slot, value);
    }
    if let Some(pc) = words.pc {
        state.set_pc(GuestAddr::new(pc));
    }
    if let Some(flags) = words.fflags {
        state.set_fp_flags(flags);
    }
    if let Some(frm) = words.frm {
        state.set_mode(Mode::new(frm as u32));
    }
    for (address, bytes) in &words.memory {
        let at = address.offset_from(DATA) as usize;
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

fn expected(case: &Case) -> (Outcome, Outcome) {
    let mut state = CpuState::new();
    let mut memory = vec![0; PAGE];
    state.set_pc(CODE);
    apply(&case.before, &mut state, &mut memory);
    let before = Outcome { state, memory, end: "runs".to_owned() };
    let mut after = before.clone();
    if let Some(trap) = &case.after.trap {
        after.end = trap.clone();
    } else {
        after.end = case.after.exit.clone().unwrap_or(before.end.clone());
        after.state.set_pc(before.state.pc().offset(case.bytes.len() as i64));
    }
    apply(&case.after, &mut after.state, &mut after.memory);
    (before, after)
}

fn fault_name(fault: MemFault) -> &'static str {
    match fault {
        MemFault::Unmapped { .. } => "unmapped",
        MemFault::Forbidden { .. } => "forbidden",
        MemFault::Unbacked { .. } => "unbacked",
    }
}

/// A machine that cases run on one after the other.
struct Machine {
    memory: Arc<AddressSpace>,
    vcpu: Vcpu,
}

impl Machine {
    fn new(tier: Tier) -> Self {
        let memory = Arc::new(AddressSpace::new(Placement::Reserved { size: 1 << 32 }).expect("address space"));
        for (start, perms) in [(CODE, Perms::READ | Perms::WRITE | Perms::EXECUTE), (DATA, Perms::READ | Perms::WRITE)]
        {
            let request = MapRequest::anonymous(PAGE as u64, perms).at(Place::Fixed(start));
            memory.map(request).expect("the page maps");
        }
        let source = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).expect("riscv64");
        let engine = Engine::new(Arc::new(source), memory.clone(), tier.config()).expect("engine");
        Self { memory, vcpu: engine.vcpu() }
    }

    /// Runs the instruction alone: behind it, and wherever it may jump to, there is nothing to execute.
    fn run(&mut self, case: &Case, before: &Outcome) -> Outcome {
        let start = before.state.pc();
        self.memory.write(CODE, &[0; 64]).expect("code page");
        self.memory.write(start, &case.bytes).expect("code page");
        self.memory.write(DATA, &before.memory).expect("data page");
        self.vcpu.engine().invalidate(GuestRange::new(CODE, PAGE as u64).expect("a page"));
        *self.vcpu.state_mut() = before.state.clone();
        let exit = self.vcpu.run();
        let state = self.vcpu.state().clone();
        let own = state.pc() == start;
        let end = match exit {
            Exit::Trap(Trap::Instruction { kind, .. }) if own => kind.name().to_owned(),
            Exit::Trap(Trap::Memory(fault)) if own => fault_name(fault).to_owned(),
            Exit::Trap(Trap::Instruction { .. }) => "runs".to_owned(),
            Exit::Syscall => "syscall".to_owned(),
            other => format!("{other:?}"),
        };
        let mut memory = vec![0; PAGE];
        self.memory.read(DATA, &mut memory).expect("data page");
        Outcome { state, memory, end }
    }
}

/// What differs, for a message.
fn difference(found: &Outcome, wanted: &Outcome, slots: &[SlotInfo]) -> String {
    let mut list = Vec::new();
    let mut compare = |name: &str, found: u64, wanted: u64| {
        if found != wanted {
            list.push(format!("{name} is {found:#x}, not {wanted:#x}"));
        }
    };
    for info in slots {
        compare(info.name, found.state.get(info.slot), wanted.state.get(info.slot));
    }
    compare("pc", found.state.pc().get(), wanted.state.pc().get());
    compare("fflags", found.state.fp_flags(), wanted.state.fp_flags());
    compare("mode", found.state.mode().bits().into(), wanted.state.mode().bits().into());
    for (at, (found, wanted)) in found.memory.iter().zip(&wanted.memory).enumerate() {
        if found != wanted {
            compare(&format!("[{}]", DATA.offset(at as i64)), (*found).into(), (*wanted).into());
        }
    }
    if found.end != wanted.end {
        list.push(format!("it {}, not {}", found.end, wanted.end));
    }
    list.join("; ")
}

fn cases_of(arch: GuestArch, slots: &[SlotInfo]) -> Vec<Case> {
    read_cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exec").join(arch.name()), slots)
}

fn check(arch: GuestArch) {
    let source = TranslationPipeline::new(arch, TranslationOptions::default()).expect("a known guest");
    let slots = source.slots();
    let cases = cases_of(arch, slots);
    assert!(cases.len() > 1000, "only {} cases were found", cases.len());
    let mut failures = Vec::new();
    for &tier in Tier::ALL {
        let mut machine = Machine::new(tier);
        for case in &cases {
            let (before, wanted) = expected(case);
            let found = machine.run(case, &before);
            let difference = difference(&found, &wanted, slots);
            if !difference.is_empty() {
                failures.push(format!("{case} on {tier:?}: {difference}"));
            }
        }
        let stats = machine.vcpu.engine().stats();
        match tier {
            Tier::Interpreter => assert!(stats.tier0_instructions as usize > cases.len() / 2, "{stats}"),
            #[cfg(feature = "jit")]
            Tier::Compiled | Tier::CompiledExactRegisters => assert_eq!(stats.tier0_instructions, 0, "{stats}"),
        }
    }
    println!("{} cases on {} tiers", cases.len(), Tier::ALL.len());
    let shown = failures.len().min(40);
    assert!(failures.is_empty(), "{} failures, the first of them:\n{}", failures.len(), failures[..shown].join("\n"));
}

#[test]
fn every_riscv64_case_on_every_tier() {
    check(GuestArch::Riscv64);
}

#[test]
fn every_riscv64_row_has_a_case() {
    let guest = registry::guest(GuestArch::Riscv64).expect("riscv64");
    let table = guest.table().expect("rows");
    let mut seen = vec![false; table.rows().count()];
    for case in cases_of(GuestArch::Riscv64, guest.slots()) {
        let mut word = [0; 4];
        word[..case.bytes.len()].copy_from_slice(&case.bytes);
        // What no row describes is a case of an illegal instruction.
        if let Ok(decoded) = table.decode(u32::from_le_bytes(word), guest.all_extensions()) {
            seen[decoded.index] = true;
        }
    }
    let unseen: Vec<_> = table.rows().zip(seen).filter(|(_, seen)| !seen).map(|(row, _)| row.name).collect();
    assert!(unseen.is_empty(), "rows without a case: {unseen:?}");
}

/// Memory from address 0, as machines without an operating system may have it.
struct Low(Mutex<Vec<u8>>);

impl ByteMemory for Low {
    fn borrow(&self, addr: GuestAddr, _: Access, use_bytes: &mut dyn FnMut(&mut [u8])) {
        use_bytes(self.0.lock().expect("nothing panics").get_mut(addr.get() as usize..).unwrap_or_default());
    }
}

/// "A" extension, "Load-Reserved/Store-Conditional Instructions": without a reservation SC fails, at address 0 too, and
/// with one it succeeds there.
#[test]
fn a_new_vcpu_has_no_reservation() {
    let code: [u32; 4] = [
        0x1870_22af, // sc.w x5, x7, (x0)
        0x1000_232f, // lr.w x6, (x0)
        0x1870_24af, // sc.w x9, x7, (x0)
        0x0000_0073, // ecall
    ];
    for &tier in Tier::ALL {
        let memory = Arc::new(Low(Mutex::new(vec![0; 2 * PAGE])));
        memory.write(CODE, code.map(u32::to_le_bytes).as_flattened()).expect("code");
        let source = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default()).expect("riscv64");
        let engine = Engine::new(Arc::new(source), memory.clone(), tier.config()).expect("engine");
        let mut vcpu = engine.vcpu();
        vcpu.state_mut().set_pc(CODE);
        vcpu.state_mut().set(x(7), 0x1122_3344);
        vcpu.state_mut().set(x(9), 5);
        assert_eq!(vcpu.run(), Exit::Syscall, "{tier:?}");
        let [first, read, second] = [5, 6, 9].map(|n| vcpu.state().get(x(n)));
        assert_eq!((first, read, second), (1, 0, 0), "{tier:?}");
        assert_eq!(memory.0.lock().expect("nothing panics")[..4], [0x44, 0x33, 0x22, 0x11], "{tier:?}");
    }
}
