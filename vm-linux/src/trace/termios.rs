//! The modes of a terminal (`asm-generic/termbits.h`).

use super::names::{Names, TIOCM, list};
use super::record::u32_at;
use super::text::{Line, put};

/// Choices of some bits, each of which has a name, and then single flags.
struct Modes {
    choices: &'static [(u32, &'static [&'static str])],
    flags: Names,
}

static INPUT: Modes = Modes {
    choices: &[],
    flags: Names::flags(
        list![IGNBRK BRKINT IGNPAR PARMRK INPCK ISTRIP INLCR IGNCR ICRNL IUCLC = 0x200 IXON IXANY IXOFF IMAXBEL
            IUTF8],
        "",
    ),
};

static OUTPUT: Modes = Modes {
    choices: &[
        (0x100, &["NL0", "NL1"]),
        (0x600, &["CR0", "CR1", "CR2", "CR3"]),
        (0x1800, &["TAB0", "TAB1", "TAB2", "XTABS"]),
        (0x2000, &["BS0", "BS1"]),
        (0x4000, &["VT0", "VT1"]),
        (0x8000, &["FF0", "FF1"]),
    ],
    flags: Names::flags(list![OPOST OLCUC = 2 ONLCR OCRNL ONOCR ONLRET OFILL = 0x40 OFDEL = 0x80], ""),
};

static CONTROL: Modes = Modes {
    choices: &[(0x30, &["CS5", "CS6", "CS7", "CS8"])],
    flags: Names::flags(list![CSTOPB CREAD PARENB PARODD HUPCL CLOCAL CMSPAR CRTSCTS], ""),
};

static LOCAL: Modes = Modes {
    choices: &[],
    flags: Names::flags(
        list![ISIG ICANON XCASE = 4 ECHO ECHOE ECHOK ECHONL NOFLSH IEXTEN ECHOCTL ECHOPRT ECHOKE FLUSHO PENDIN TOSTOP
            EXTPROC],
        "",
    ),
};

/// Bits of a speed, and those speeds that have the second of them.
const SPEED: u32 = 0o10017;
const FAST: u32 = 0o10000;
const SLOW_SPEEDS: [&str; 16] = [
    "B0", "B50", "B75", "B110", "B134", "B150", "B200", "B300", "B600", "B1200", "B1800", "B2400", "B4800", "B9600",
    "B19200", "B38400",
];
const FAST_SPEEDS: [&str; 16] = [
    "BOTHER", "B57600", "B115200", "B230400", "B460800", "B500000", "B576000", "B921600", "B1000000", "B1152000",
    "B1500000", "B2000000", "B2500000", "B3000000", "B3500000", "B4000000",
];
/// How far to the left of the speed of output that of input is.
const INPUT_SPEED: u32 = 16;

/// Appends `struct termios`.
pub(super) fn termios(b: &[u8], l: &mut Line) {
    l.push("{c_iflag=");
    modes(&INPUT, u32_at(b, 0), true, l);
    l.push(", c_oflag=");
    modes(&OUTPUT, u32_at(b, 4), true, l);
    l.push(", c_cflag=");
    control(u32_at(b, 8), l);
    l.push(", c_lflag=");
    modes(&LOCAL, u32_at(b, 12), true, l);
    l.push(", ...}");
}

/// Appends the modes that `value` has; `first` if nothing stands before them.
fn modes(modes: &Modes, value: u32, first: bool, l: &mut Line) {
    let mut rest = value;
    let mut first = first;
    for (mask, names) in modes.choices {
        put!(l, "{}{}", if first { "" } else { "|" }, names[((value & mask) >> mask.trailing_zeros()) as usize]);
        first = false;
        rest &= !mask;
    }
    if first {
        modes.flags.write(rest.into(), l);
    } else if rest != 0 {
        l.push("|");
        modes.flags.write(rest.into(), l);
    }
}

/// Appends `c_cflag`, which holds the speeds too.
fn control(value: u32, l: &mut Line) {
    let speed = |bits: u32| if bits & FAST == 0 { SLOW_SPEEDS } else { FAST_SPEEDS }[(bits & 0xf) as usize];
    l.push(speed(value & SPEED));
    let input = value >> INPUT_SPEED & SPEED;
    if input != 0 {
        put!(l, "|{}<<IBSHIFT", speed(input));
    }
    modes(&CONTROL, value & !(SPEED | SPEED << INPUT_SPEED), false, l);
}

/// Appends bits of the lines of a modem, `int` behind a pointer.
pub(super) fn modem_bits(b: &[u8], l: &mut Line) {
    l.push("[");
    TIOCM.write(u32_at(b, 0).into(), l);
    l.push("]");
}
