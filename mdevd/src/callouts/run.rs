//! One script, from its start to its end.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::limits::{CALLOUT_LAST_WORDS, MAX_CALLOUT_TEXT};

/// What scripts are called with.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) arguments: Vec<String>,
    /// On standard input.
    pub(super) input: String,
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) event: &'static str,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    /// By itself, with a reason.
    Refused(String),
    /// At its deadline.
    Late,
    /// It was not waited for any more.
    Cut,
}

/// Runs `script` for at most `deadline`, and not beyond `cut`; then it is killed, with everything in its process group.
pub(super) async fn run(
    script: &Path,
    call: &Call,
    address: &Path,
    deadline: Duration,
    cut: impl Future<Output = ()>,
) -> Ended {
    let spawned = Command::new(script)
        .args(&call.arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .env("MDEVD_ADDRESS", address)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Ended::Refused(format!("it cannot be started: {error}")),
    };
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut said, mut ignored) = (Vec::new(), Vec::new());
    let status = {
        let write = feed(stdin, call.input.as_bytes());
        let talk = async { tokio::join!(write, drain(out, &mut ignored), drain(err, &mut said)) };
        tokio::pin!(talk);
        let mut over = false;
        let end = async {
            tokio::select! {
                _ = &mut talk => over = true,
                status = child.wait() => return status,
            }
            child.wait().await
        };
        let ended = tokio::select! {
            biased;
            ended = timeout(deadline, end) => ended.map_err(|_| Ended::Late),
            () = cut => Err(Ended::Cut),
        };
        let status = match ended {
            Ok(status) => status,
            Err(killed) => {
                kill(&mut child).await;
                return killed;
            }
        };
        if !over {
            // What it started and left may hold the pipes open for ever.
            let _ = timeout(CALLOUT_LAST_WORDS, talk).await;
        }
        status
    };
    match status {
        Ok(status) if status.success() => Ended::Well,
        Ok(status) => Ended::Refused(reason(status, &said)),
        Err(error) => Ended::Refused(format!("it cannot be waited for: {error}")),
    }
}

/// Ends it and everything in its process group. What the kernel does not let go of is left to the runtime.
async fn kill(child: &mut Child) {
    // While it has not been waited for, the number is its own.
    if let Some(group) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.start_kill();
    let _ = timeout(CALLOUT_LAST_WORDS, child.wait()).await;
}

/// Gives it its input. One that does not read it has ended, or needs nothing to know.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

/// Reads to the end; keeps the beginning.
async fn drain(from: Option<impl AsyncRead + Unpin>, keep: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut chunk = [0; 1024];
    while let Ok(len @ 1..) = from.read(&mut chunk).await {
        let room = MAX_CALLOUT_TEXT.saturating_sub(keep.len());
        keep.extend(chunk.iter().take(len.min(room)));
    }
}

/// Why it refused, in its own words if it has any.
fn reason(status: ExitStatus, said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let words: Vec<_> = text.split(char::is_control).map(str::trim).collect();
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        format!("it refused without a word ({status})")
    } else {
        words.join("; ")
    }
}
