//! Numbers in as few bytes as they need, for records that are kept of everything and seldom read.

/// Appends a number: seven bits a byte, the lowest first, all bytes but the last with the highest bit set.
pub(crate) fn put(packed: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        packed.push(number as u8 | 0x80);
        number >>= 7;
    }
    packed.push(number as u8);
}

/// Takes a number from the front; what is missing of it is zeros.
pub(crate) fn take(packed: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let Some((&byte, rest)) = packed.split_first() else { break };
        *packed = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_their_order() {
        let rows = [(0, 1), (1, 1), (0x7f, 1), (0x80, 2), (0x3fff, 2), (0x4000, 3), (1 << 32, 5), (u64::MAX, 10)];
        let mut packed = Vec::new();
        for (number, len) in rows {
            let before = packed.len();
            put(&mut packed, number);
            assert_eq!(packed.len() - before, len, "{number:#x}");
        }
        let mut rest = &*packed;
        assert!(rows.iter().all(|(number, _)| take(&mut rest) == *number));
        assert_eq!((rest.len(), take(&mut rest)), (0, 0));
    }
}
