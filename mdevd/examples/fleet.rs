//! Makes many devices by calls that do not wait for one another, lists them, takes them away again, and says how fast
//! that went.
//!
//! `cargo run --release -p mdevd --example fleet -- /run/mdevd/mdevd.sock 1000`

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mdevd::bus::{ManagerClient, Options};
use mdevd::limits::MAX_PAGE;
use tokio::task::JoinSet;

/// Calls under way at a time.
const AT_ONCE: usize = 32;

/// How often it lists them all.
const LISTS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(socket), Some(count)) = (args.next(), args.next()) else {
        return Err("give the daemon's socket and how many devices".into());
    };
    let (socket, count) = (PathBuf::from(socket), count.parse::<usize>()?);
    let client = ManagerClient::connect(&socket).await?;
    let begun = Instant::now();
    each(&client, count, |client, name| async move {
        client.create(&name, Options::new()).await.map(drop)
    })
    .await?;
    let made = begun.elapsed();
    let mut longest = Duration::ZERO;
    for _ in 0..LISTS {
        let begun = Instant::now();
        let listed = list(&client).await?;
        longest = longest.max(begun.elapsed());
        if listed < count {
            return Err(format!("{listed} devices are listed, and {count} were made").into());
        }
    }
    let begun = Instant::now();
    each(&client, count, |client, name| async move {
        client.destroy(&name, false).await
    })
    .await?;
    let gone = begun.elapsed();
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    println!(
        "{count} devices: {:.0} created a second, listed in {} ms at most, {:.0} destroyed a second",
        rate(made),
        longest.as_millis(),
        rate(gone)
    );
    Ok(())
}

async fn list(client: &ManagerClient) -> Result<usize, Box<dyn Error>> {
    let (mut count, mut after) = (0, String::new());
    loop {
        let (page, next) = client.list(&after, u32::try_from(MAX_PAGE)?).await?;
        count += page.len();
        if next.is_empty() {
            return Ok(count);
        }
        after = next;
    }
}

/// Does `what` to every device, some at a time.
async fn each<F, E>(
    client: &ManagerClient,
    count: usize,
    what: impl Fn(ManagerClient, String) -> F,
) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Error + Send + 'static,
{
    let mut calls = JoinSet::new();
    for n in 0..count {
        if calls.len() == AT_ONCE
            && let Some(done) = calls.join_next().await
        {
            done??;
        }
        calls.spawn(what(client.clone(), format!("fleet-{n}")));
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    Ok(())
}
