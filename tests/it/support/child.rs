//! Child processes that end with this one, also when it is killed: dropping is not enough for servers that would go on
//! listening.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

type Order = (Command, Sender<std::io::Result<Child>>);

/// A command that runs `program` so that the kernel kills it when the thread that started it is gone. See prctl(2),
/// `PR_SET_PDEATHSIG`. Where `setpriv` of util-linux is missing it is an ordinary one.
pub fn command(program: &str) -> Command {
    static HAS_SETPRIV: OnceLock<bool> = OnceLock::new();
    let has_setpriv = *HAS_SETPRIV.get_or_init(|| runs("setpriv", "--version"));
    if !has_setpriv {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

/// Starts it from a thread that lives as long as this process: those of a test or a runtime may end earlier.
pub fn spawn(command: Command) -> std::io::Result<Child> {
    static STARTER: OnceLock<Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, taken) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in taken {
                let _nobody_waits = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, child) = channel();
    starter.send((command, answer)).expect("the starting thread lives");
    child.recv().expect("the starting thread lives")
}

/// Sends a signal.
pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("a child that was not waited for");
}

/// Kills it and waits until it is gone.
pub fn kill(child: &mut Child) {
    let _gone_already = child.kill();
    let _reaped = child.wait();
}

/// The first of these programs that runs, asked for its version; Debian has some where not everybody's path leads.
pub fn find(programs: &[&'static str], version: &str) -> Option<&'static str> {
    programs.iter().copied().find(|program| runs(program, version))
}

fn runs(program: &str, version: &str) -> bool {
    let mut asked = Command::new(program);
    let asked = asked.arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}
