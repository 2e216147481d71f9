//! A server under test as an operating-system process: its CPU time, its memory, and that it ends with the bench.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

const START_TIME: Duration = Duration::from_secs(60);

/// Killed when dropped.
pub struct Process(Child);

/// Memory of a process and its children, KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident: u64,
    /// The most since the last [`Process::forget_peak`].
    pub peak: u64,
}

impl Process {
    /// Starts `command`, `pinned` to the first core where `taskset` is there; its log lines are thrown away.
    pub fn start(mut command: Command, pinned: bool) -> anyhow::Result<Self> {
        if pinned && can_pin() {
            let mut pinned = Command::new("taskset");
            pinned.args(["-c", "0"]).arg(command.get_program()).args(command.get_args());
            pinned.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command = pinned;
        }
        let program = command.get_program().display().to_string();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().with_context(|| format!("cannot run {program}"))?))
    }

    /// Waits until it answers as asked; how long that took.
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    pub fn wait_for(&mut self, is_ready: impl Fn() -> bool) -> anyhow::Result<Duration> {
        let start = Instant::now();
        while !is_ready() {
            ensure!(
                !self.has_ended(),
                "a server under test ended at once; try its command by hand"
            );
            ensure!(start.elapsed() < START_TIME, "a server under test does not get ready");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(start.elapsed())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// CPU time, user and system, of the process and its children so far. The scheduler's own count in nanoseconds; the
    /// ticks of `/proc/PID/stat` (10 ms) are the same sum, rounded.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let mut spent = 0;
        for pid in self.family() {
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = fs::read_to_string(thread?.path().join("schedstat"))?;
                let first = text.split(' ').next().context("an empty schedstat")?;
                spent += first.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(spent))
    }

    /// Its memory now, and the most it had.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        let mut memory = Memory { resident: 0, peak: 0 };
        for pid in self.family() {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            memory.resident += kib(&status, "VmRSS:")?;
            memory.peak += kib(&status, "VmHWM:")?;
        }
        Ok(memory)
    }

    /// Lets the peak start anew from what is resident now, as far as the kernel allows (proc(5), `clear_refs`).
    pub fn forget_peak(&self) {
        for pid in self.family() {
            let _allowed = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    /// Whether it has ended already.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Itself and its children: nginx has a worker.
    fn family(&self) -> Vec<u32> {
        let own = self.0.id();
        let children = processes().filter(|pid| parent(*pid).is_ok_and(|parent| parent == own));
        std::iter::once(own).chain(children).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM first, so that nginx takes its worker along.
        if !self.has_ended() {
            let _sent = Command::new("kill").arg(self.0.id().to_string()).status();
        }
        for _ in 0..50 {
            if self.has_ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Keeps load and upstream off the core of the server under test, and lets them open thousands of connections. Call it
/// before the first server is started: they inherit the limit.
pub fn prepare_this_process() {
    let this = std::process::id().to_string();
    let run = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        // Without it fewer connections can be held; the scenario that needs them says so.
        let _done = command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    };
    let hard = fs::read_to_string("/proc/self/limits").ok().and_then(|limits| {
        let line = limits.lines().find(|line| line.starts_with("Max open files"))?.to_owned();
        line.split_whitespace().nth(4).map(str::to_owned)
    });
    if let Some(hard) = hard {
        run("prlimit", &["--pid", &this, &format!("--nofile={hard}:{hard}")]);
    }
    if can_pin() {
        let others = format!("1-{}", cores() - 1);
        run("taskset", &["-a", "-c", "-p", &others, &this]);
    }
}

fn can_pin() -> bool {
    cores() > 1 && Path::new("/usr/bin/taskset").exists()
}

/// Cores of the machine, whichever of them are left to us.
fn cores() -> usize {
    let online = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    online.lines().filter(|line| line.starts_with("processor")).count()
}

fn kib(status: &str, field: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| format!("no {field}"))?.parse()?)
}

fn parent(pid: u32) -> anyhow::Result<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; fields are counted after it. See proc(5).
    let (_, fields) = text.rsplit_once(") ").context("no name")?;
    Ok(fields.split_whitespace().nth(1).context("no parent")?.parse()?)
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
