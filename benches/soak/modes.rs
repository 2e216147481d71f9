//! Runs the modes, one after the other, says how far they are, and gives the exit code.

use std::cell::Cell;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::arguments::Arguments;
use super::rig::kinds::{Kind, ORDER};
use super::rig::stage::{Stage, Wish};
use super::rig::tally::Tally;
use super::rig::{Report, endings, races, steady, users};

/// Seconds that an access token lives: longer than fifty calls take on a slow machine.
const TOKEN_LIFE: u64 = 4;
const VISITORS: usize = 5;
/// As many as the replicas refresh at once: more would wait for each other.
const PAIRS: usize = 60;

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    // `cargo test --all-targets` runs benches, too: nobody wants this one there.
    if !std::env::args().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let all_well = runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).unwrap();
        let interrupted = async {
            tokio::select! {
                _ = ctrl_c() => {}
                _ = terminated.recv() => {}
            }
        };
        tokio::select! {
            all_well = all(&arguments) => all_well,
            // Returning drops what was started; it would end even if this process were killed.
            () = interrupted => {
                println!("interrupted");
                false
            }
        }
    });
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn all(arguments: &Arguments) -> bool {
    println!("binary: {}; seed {}", arguments.binary.display(), arguments.seed);
    let mut all_well = true;
    for mode in &arguments.modes {
        let shared = if arguments.redis { arguments.store } else { "nothing is shared" };
        match mode.as_str() {
            "steady" => {
                println!("\nsteady, one process, no Redis, {} calls a second", arguments.rate);
            }
            _ => println!("\n{mode}, two replicas, Redis: {shared}"),
        }
        let started = Instant::now();
        let (report, logged) = match mode.as_str() {
            "users" => users(arguments).await,
            "endings" => endings(arguments).await,
            "steady" => (steady(arguments).await, String::new()),
            _ => races(arguments).await,
        };
        print!("{}", report.text);
        println!("{mode}: {} s", started.elapsed().as_secs());
        for fault in &report.faults {
            println!("FAULT: {fault}");
        }
        if !report.faults.is_empty() {
            let last: Vec<&str> = logged.lines().rev().take(20).collect();
            println!("the last that the replicas logged:\n{}", last.join("\n"));
            all_well = false;
        }
    }
    println!("\n{}", if all_well { "soak: ok" } else { "soak: FAILED" });
    all_well
}

fn wish(arguments: &Arguments, certified: bool, token_life: u64) -> Wish {
    let Arguments { binary, redis, store, .. } = arguments;
    Wish { binary: binary.clone(), certified, token_life, redis: *redis, store }
}

async fn races(arguments: &Arguments) -> (Report, String) {
    let mut stage = Stage::start(wish(arguments, true, TOKEN_LIFE)).await;
    let only = |kind: &Kind| {
        arguments.only.is_empty() || arguments.only.iter().any(|text| kind.name().contains(text))
    };
    let kinds = ORDER.into_iter().filter(|kind| arguments.redis || !kind.hurts_redis());
    let plan = races::Plan {
        expiries: arguments.expiries,
        time: arguments.time,
        seed: arguments.seed,
        visitors: VISITORS,
        calls: arguments.calls,
        kinds: kinds.filter(only).collect(),
        laptop: arguments.only.is_empty(),
    };
    let line = Progress::new();
    let told = |tally: &Tally| {
        let [expiries, calls, lost] =
            [tally.sum(|row| row.expiries), tally.sum(|row| row.calls), tally.sum(|row| row.lost)];
        line.tell(|| format!("{expiries}/{} expiries, {calls} calls, {lost} lost", plan.expiries));
    };
    let tally = races::run(&mut stage, &plan, told).await;
    (tally.report(), stage.logged())
}

async fn users(arguments: &Arguments) -> (Report, String) {
    let stage = Stage::start(wish(arguments, false, users::TOKEN_LIFE)).await;
    let pairs = PAIRS.min(arguments.rounds);
    let plan = users::Plan { rounds: arguments.rounds, time: arguments.time, pairs };
    let line = Progress::new();
    let told = |rounds| line.tell(|| format!("{rounds}/{} rounds", plan.rounds));
    let report = users::run(&stage, &plan, told).await;
    (report, stage.logged())
}

/// One process, no Redis: what one instance carries.
async fn steady(arguments: &Arguments) -> Report {
    let plan = steady::Plan {
        binary: arguments.binary.clone(),
        time: arguments.time,
        users: 200,
        calls: arguments.rate,
        streams: 100,
        reload: Duration::from_secs(10),
        look: Duration::from_secs(30),
    };
    steady::run(&plan, |line| println!("  {line}")).await
}

async fn endings(arguments: &Arguments) -> (Report, String) {
    let mut stage = Stage::start(wish(arguments, true, 300)).await;
    let report = endings::run(&mut stage, arguments.sessions).await;
    (report, stage.logged())
}

/// A line now and then.
struct Progress {
    started: Instant,
    last: Cell<Instant>,
}

impl Progress {
    fn new() -> Self {
        let started = Instant::now();
        Self { started, last: Cell::new(started) }
    }

    fn tell(&self, what: impl Fn() -> String) {
        if self.last.get().elapsed() >= Duration::from_secs(5) {
            self.last.set(Instant::now());
            println!("  {:>4} s: {}", self.started.elapsed().as_secs(), what());
        }
    }
}
