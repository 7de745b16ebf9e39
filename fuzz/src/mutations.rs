//! Cases made from seeds by a generator of its own: the same ones every time for the same number, on any machine, and
//! without a build of its own. libFuzzer, which also follows what a case reaches, is for long runs.

use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    time::{Duration, Instant},
};

/// From which number the cases are drawn, unless `PAPERROUND_FUZZ_SEED` says otherwise.
const SEED: u64 = 1;
/// How long one case may take. Those made to be long take a second without optimisation on a busy machine.
const CASE_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest case, in bytes.
const CASE_BYTES_MAX: usize = 16 * 1024;
/// A case has been changed at most two to this power times.
const CHANGES_POWER_MAX: u64 = 6;
/// A dictionary and the seeds lack what belongs to no language: ends of ranges, and characters that are more than they seem.
const WORDS: [&[u8]; 18] = [
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\t",
    b"\x1b[2J",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"-1",
    b"0",
    b"65536",
    b"18446744073709551616",
    b"1e999",
    "\u{202e}".as_bytes(),
    "\u{2028}".as_bytes(),
    "e\u{301}".as_bytes(),
    "\u{1d4d0}".as_bytes(),
];

/// Hands so many cases for this target to its check, or as many as `PAPERROUND_FUZZ_CASES` says. They are made from the
/// files in `fuzz/corpus/TARGET` and the words of its dictionary.
///
/// # Panics
/// Where a case fails or takes too long; the case is then left in `target/fuzz/found`, and what to do with it is said.
pub(super) fn run(target: &str, n_cases: u64, check: fn(&[u8])) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let number = |name, otherwise| env::var(name).map_or(otherwise, |value| value.parse().expect("a number"));
    let (n_cases, seed) = (
        number("PAPERROUND_FUZZ_CASES", n_cases),
        number("PAPERROUND_FUZZ_SEED", SEED),
    );
    let mut mutations = Mutations::new(&project.join("fuzz"), target, seed);
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for n in 0..n_cases {
        let case = mutations.case();
        let asked = Instant::now();
        let held = panic::catch_unwind(AssertUnwindSafe(|| check(&case)));
        let took = asked.elapsed();
        slowest = slowest.max(took);
        if held.is_err() || took > CASE_TIME_MAX {
            let found = project.join("target/fuzz/found");
            let file = found.join(format!("{target}-{seed}-{n}"));
            fs::create_dir_all(&found)
                .and_then(|()| fs::write(&file, &case))
                .expect("the case can be kept");
            panic!(
                "case {n} of seed {seed} for {target} failed or took too long ({took:?}); it lies in {}: mend what it \
                 shows, and move it to fuzz/corpus/{target}",
                file.display()
            );
        }
    }
    println!(
        "{target:<8} {n_cases:>8} cases from seed {seed} in {:>5} s, slowest {} ms",
        began.elapsed().as_secs(),
        slowest.as_millis()
    );
}

struct Mutations {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    random: Random,
}

impl Mutations {
    fn new(fuzz: &Path, target: &str, seed: u64) -> Self {
        let mut files: Vec<_> = fs::read_dir(fuzz.join("corpus").join(target))
            .expect("a target has seeds")
            .map(|file| file.expect("a folder that can be listed").path())
            .collect();
        // The order of a folder differs between machines.
        files.sort();
        let seeds = files
            .iter()
            .map(|file| fs::read(file).expect("a seed can be read"))
            .collect();
        let dictionary = fs::read_to_string(fuzz.join("dictionaries").join(target)).expect("a target has a dictionary");
        let mut words: Vec<Vec<u8>> = dictionary.lines().filter_map(word).collect();
        words.extend(WORDS.map(<[u8]>::to_vec));
        Self {
            seeds,
            words,
            random: Random(seed),
        }
    }

    fn case(&mut self) -> Vec<u8> {
        let mut case = self.seed();
        for _ in 0..1 << self.random.below(CHANGES_POWER_MAX as usize + 1) {
            self.change(&mut case);
        }
        case.truncate(CASE_BYTES_MAX);
        case
    }

    fn seed(&mut self) -> Vec<u8> {
        let n = self.random.below(self.seeds.len());
        self.seeds[n].clone()
    }

    fn change(&mut self, case: &mut Vec<u8>) {
        let random = &mut self.random;
        let at = random.below(case.len() + 1);
        match random.below(10) {
            0 => {
                if let Some(byte) = case.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(byte) = case.get_mut(at) {
                    *byte = random.byte();
                }
            }
            2 => case.insert(at, random.byte()),
            3 => drop(case.drain(random.range(case.len()))),
            4 => case.truncate(at),
            // A part once more, once or many times: what nests or repeats.
            5 => {
                let part = case[random.range(case.len())].to_vec();
                let times = 1 << random.below(5);
                if case.len() + times * part.len() <= CASE_BYTES_MAX {
                    case.splice(at..at, part.repeat(times));
                }
            }
            6 => {
                let other = self.seed();
                let part = other[self.random.range(other.len())].to_vec();
                case.splice(at..at, part);
            }
            7 => {
                let other = self.seed();
                let from = self.random.below(other.len() + 1);
                case.splice(at.., other[from..].iter().copied());
            }
            // A word, between two bytes or in place of some.
            how => {
                let word = self.words[random.below(self.words.len())].clone();
                let end = if how == 8 { at } else { case.len().min(at + word.len()) };
                case.splice(at..end, word);
            }
        }
    }
}

/// A line of a dictionary: a string in quotes with `\\`, `\"` and `\xAB`, as libFuzzer reads it.
fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.trim().strip_prefix('"')?.strip_suffix('"')?.bytes();
    let mut word = Vec::new();
    while let Some(byte) = rest.next() {
        word.push(match byte {
            b'\\' => match rest.next()? {
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
                }
                byte => byte,
            },
            byte => byte,
        });
    }
    Some(word)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is at least one.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("64 bits at most")).expect("it is below `end`")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// A part of so many bytes; short ones are as likely as long ones.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = (length - start).min(1 << self.below(12));
        start..start + self.below(most + 1)
    }
}
