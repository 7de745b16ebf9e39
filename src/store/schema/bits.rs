//! Numbers in as few bits as they need: what one subscriber has seen is by far the most that is remembered of them.

/// From this many whole multiples on, a distance is written out.
const QUOTIENT_MAX: u32 = 16;
/// How many bits of a number of either sign stand together.
const GROUP_BITS: u32 = 3;

/// Bits in the making, the highest of each byte first.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    n_bits: usize,
}

impl Writer {
    /// The lowest `n` bits of `number`, the highest of them first.
    pub(super) fn put(&mut self, number: u64, n: u32) {
        for shift in (0..n).rev() {
            if self.n_bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (number >> shift & 1) as u8;
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (7 - self.n_bits % 8);
            }
            self.n_bits += 1;
        }
    }

    /// A distance after Rice: how often `2^exponent` goes into it as that many ones and a zero, then the rest.
    pub(super) fn put_distance(&mut self, distance: u32, exponent: u32) {
        let quotient = distance.checked_shr(exponent).unwrap_or(0);
        if quotient < QUOTIENT_MAX {
            self.put(u64::from(u32::MAX), quotient);
            self.put(0, 1);
            self.put(u64::from(distance), exponent);
        } else {
            self.put(u64::from(u32::MAX), QUOTIENT_MAX);
            self.put(u64::from(distance), u32::BITS);
        }
    }

    /// A number that is mostly small, in groups that each say whether another follows.
    pub(super) fn put_small(&mut self, mut number: u64) {
        loop {
            let rest = number >> GROUP_BITS;
            self.put(u64::from(rest > 0), 1);
            self.put(number, GROUP_BITS);
            if rest == 0 {
                return;
            }
            number = rest;
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what a [`Writer`] wrote. `None` where it ends too early or says something impossible.
#[derive(Debug)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    n_read: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, n_read: 0 }
    }

    pub(super) fn take(&mut self, n: u32) -> Option<u64> {
        let mut number = 0;
        for _ in 0..n {
            let byte = self.bytes.get(self.n_read / 8)?;
            number = number << 1 | u64::from(byte >> (7 - self.n_read % 8) & 1);
            self.n_read += 1;
        }
        Some(number)
    }

    pub(super) fn distance(&mut self, exponent: u32) -> Option<u32> {
        let mut quotient = 0;
        while quotient < QUOTIENT_MAX && self.take(1)? == 1 {
            quotient += 1;
        }
        if quotient == QUOTIENT_MAX {
            return u32::try_from(self.take(u32::BITS)?).ok();
        }
        let rest = self.take(exponent)?;
        u32::try_from((u64::from(quotient) << exponent) + rest).ok()
    }

    pub(super) fn small(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let more = self.take(1)? == 1;
            number |= self.take(GROUP_BITS)?.checked_shl(shift)?;
            if !more {
                return Some(number);
            }
            shift += GROUP_BITS;
        }
    }
}

/// The exponent that suits `n` distances of this sum: near the logarithm of their mean.
pub(super) fn exponent(sum: u64, n: usize) -> u32 {
    (sum / (n as u64).max(1))
        .checked_ilog2()
        .unwrap_or(0)
        .min(u32::BITS - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(numbers in prop::collection::vec((any::<u32>(), 0_u64..1_000_000), 0..60), exponent in 0_u32..32) {
            let mut writer = Writer::default();
            for (distance, small) in &numbers {
                writer.put_distance(*distance, exponent);
                writer.put_small(*small);
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            for (distance, small) in &numbers {
                prop_assert_eq!(reader.distance(exponent), Some(*distance));
                prop_assert_eq!(reader.small(), Some(*small));
            }
            prop_assert_eq!(reader.take(8), None);
        }

        #[test]
        fn hostile_bits_end_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), exponent in 0_u32..32) {
            let mut reader = Reader::new(&bytes);
            for _ in 0..400 {
                if reader.distance(exponent).is_none() || reader.small().is_none() {
                    break;
                }
            }
        }
    }
}
