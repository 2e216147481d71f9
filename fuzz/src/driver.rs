//! Runs the targets without libFuzzer: seeds, then random and mutated inputs, for a bounded time and number. The seed of
//! the generator is printed, so that a failure can be run again: `driver SECONDS [TARGET [SEED]]`.
//! It finds shallow faults only; coverage-guided fuzzing needs nightly and cargo-fuzz.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cloakroom_fuzz::{TARGETS, Target};

const MOST_RUNS: u64 = 20_000_000;
const LONGEST: usize = 16 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    let seconds = number(0).unwrap_or(10);
    let only = arguments.get(1);
    let seed = number(2).unwrap_or_else(any_seed);
    let wanted: Vec<&Target> =
        TARGETS.iter().filter(|target| only.is_none_or(|name| name == target.name)).collect();
    if wanted.is_empty() {
        eprintln!("no such target; there are: {}", TARGETS.map(|target| target.name).join(", "));
        return ExitCode::FAILURE;
    }
    for target in wanted {
        run(target, Duration::from_secs(seconds), seed);
    }
    ExitCode::SUCCESS
}

#[expect(clippy::disallowed_methods, reason = "bounded by real time")]
fn run(target: &Target, time: Duration, seed: u64) {
    println!(
        "{}: seed {seed} (again: driver {} {} {seed})",
        target.name,
        time.as_secs(),
        target.name
    );
    let seeds = (target.seeds)();
    for input in &seeds {
        (target.run)(input);
    }
    let mut random = Random(seed | 1);
    let (start, mut runs) = (Instant::now(), 0);
    while runs < MOST_RUNS && start.elapsed() < time {
        for _ in 0..64 {
            let input = random.input(&seeds);
            (target.run)(&input);
            runs += 1;
        }
    }
    println!("{}: {runs} inputs, nothing found", target.name);
}

/// xorshift64*: small, fast and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end.max(1)
    }

    /// A seed with a few changes; now and then bytes of no meaning at all.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if self.below(16) == 0 {
            let length = self.below(64);
            return (0..length).map(|_| self.byte()).collect();
        }
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut input, seeds);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(8)).min(input.len());
        match self.below(6) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, self.byte()),
            2 => {
                let part = input[at..end].to_vec();
                input.splice(at..at, part);
            }
            3 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let to = (from + self.below(24)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            4 if at < input.len() => input[at] ^= 1 << self.below(8),
            _ => {
                const TELLING: [&[u8]; 14] = [
                    b"%2f", b"%5C", b"%2e", b"..", b"//", b"%25", b"%00", b";", b"\\", b",", b"::",
                    b"=", b"; ", b"#",
                ];
                let piece = TELLING[self.below(TELLING.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }

    /// Mostly printable: more of it gets past the first check.
    fn byte(&mut self) -> u8 {
        let any = u8::try_from(self.below(256)).unwrap_or(0);
        if self.below(4) == 0 { any } else { 0x20 + any % 0x5f }
    }
}

#[expect(clippy::disallowed_methods, reason = "any number will do; it is printed")]
fn any_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| u64::from(since.subsec_nanos()) ^ since.as_secs())
}
