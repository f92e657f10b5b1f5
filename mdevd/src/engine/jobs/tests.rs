use serde_json::json;

use super::super::error::{EngineError, ErrorKind};
use super::*;

fn about(device: &str, uid: u32) -> About {
    About {
        method: "Start",
        device: device.to_owned(),
        uid,
    }
}

fn state(jobs: &Jobs, id: u32) -> JobState {
    jobs.show(id).expect("shown").state
}

fn small() -> JobLimits {
    JobLimits {
        all: 4,
        of_one: 2,
        at_once: 1,
        kept: 3,
        ..JobLimits::default()
    }
}

#[test]
fn a_command_that_is_over_at_once_is_no_job() {
    let jobs = Jobs::default();
    let ticket = jobs.attend(about("vm1", 0));
    assert_eq!(ticket.run(|| Ok(json!({}))), Ok(json!({})));
    assert_eq!((jobs.list(0, 10).jobs.len(), jobs.last_sequence()), (0, 0));
}

#[test]
fn a_command_that_waits_is_one_and_its_answer_stays() {
    let jobs = Jobs::default();
    let seen = jobs.clone();
    let ticket = jobs.attend(about("vm1", 7));
    let done = ticket.run(|| {
        waits().shut().expect("nobody came");
        let view = seen.show(1).expect("shown");
        assert_eq!((view.state, view.uid), (JobState::Running, 7));
        let early = seen.result(1).expect_err("not ended");
        assert_eq!(early.kind(), ErrorKind::NotReady);
        Ok(json!({ "result": "started" }))
    });
    assert_eq!(done, jobs.result(1), "as the caller was answered");
    let view = jobs.show(1).expect("shown");
    assert_eq!((view.state, view.done, view.total), (JobState::Done, 1, 1));
    assert!(view.started_us <= view.ended_us && view.ended_us.is_some());
    let late = jobs.cancel(1).expect_err("ended");
    assert_eq!(late.kind(), ErrorKind::NotCancellable);
    let none = jobs.cancel(2).expect_err("none");
    assert_eq!(none.kind(), ErrorKind::NotFound);
}

#[test]
fn a_failure_is_the_methods_own() {
    let jobs = Jobs::default();
    let ticket = jobs.ask(about("vm1", 0)).expect("room");
    let error = EngineError::invalid("mtu", "1", "too small");
    let failed = error.clone();
    assert_eq!(ticket.run(|| Err(failed)), Err(error.clone()));
    let view = jobs.show(1).expect("shown");
    let failure = view.error.expect("a reason");
    assert_eq!(view.state, JobState::Failed);
    assert_eq!(failure.name, "io.mdevd1.Error.InvalidArgument");
    assert_eq!(failure.message, error.to_string());
    assert_eq!(jobs.result(1), Err(error));
}

#[test]
fn cancelling_is_taken_only_while_a_door_is_open() {
    let jobs = Jobs::default();
    let other = jobs.clone();
    let ticket = jobs.ask(about("vm1", 0)).expect("room");
    let done = ticket.run(|| {
        let refused = other.cancel(1).expect_err("no door");
        assert_eq!(refused.kind(), ErrorKind::NotCancellable);
        let outer = waits();
        waits().shut().expect("nobody came");
        other.cancel(1).expect("the outer one is open");
        other.cancel(1).expect("twice is once");
        assert_eq!(cut_short(), Some(CutShort::Cancelled));
        let cut = outer.shut().expect_err("somebody came");
        Err(cut.on("start", "vm1"))
    });
    assert_eq!(done.expect_err("cut").kind(), ErrorKind::Cancelled);
    assert_eq!(state(&jobs, 1), JobState::Cancelled);
    assert_eq!(cut_short(), None, "no command on this thread any more");
}

#[tokio::test]
async fn what_is_queued_is_cancelled_before_anything_of_it_begins() {
    let jobs = Jobs::with(small());
    let first = jobs.ask(about("a", 0)).expect("room");
    let turn = first.turn().await.expect("its turn");
    let second = jobs.ask(about("b", 0)).expect("room");
    assert_eq!(state(&jobs, 2), JobState::Queued);
    jobs.cancel(2).expect("queued");
    assert_eq!(state(&jobs, 2), JobState::Cancelled);
    assert!(second.turn().await.is_none());
    let ran = second.run(|| panic!("nothing of it begins"));
    assert_eq!(ran.expect_err("cut").kind(), ErrorKind::Cancelled);
    assert_eq!(first.run(|| Ok(json!({}))), Ok(json!({})));
    drop(turn);
    jobs.settled().await;
}

#[test]
fn jobs_are_bounded_by_user_and_in_all_and_callers_that_wait_are_not_refused() {
    let jobs = Jobs::with(small());
    let mut held: Vec<_> = (0..2)
        .map(|_| jobs.ask(about("a", 7)).expect("room"))
        .collect();
    let refused = jobs.ask(about("a", 7)).expect_err("one user's share");
    assert_eq!(refused.kind(), ErrorKind::NoResources);
    let why = refused.to_string();
    assert!(
        why.contains("2 jobs of uid 7") && why.contains("the limit"),
        "{why}"
    );
    held.extend((0..2).map(|_| jobs.ask(about("a", 8)).expect("room")));
    let refused = jobs.ask(about("a", 9)).expect_err("everybody's share");
    assert!(
        refused.to_string().contains("4 jobs are queued"),
        "{refused}"
    );
    // Not shown, and done all the same.
    let waited = jobs.attend(about("b", 9)).run(|| {
        waits().shut().expect("nobody can come");
        Ok(json!({}))
    });
    assert_eq!(waited, Ok(json!({})));
    assert_eq!(jobs.list(0, 10).jobs.len(), 4);
    held.pop();
    jobs.ask(about("a", 9)).expect("room again");
}

#[test]
fn ended_jobs_are_bounded_in_number_and_bytes_and_give_way_user_by_user() {
    let jobs = Jobs::with(JobLimits {
        kept: 3,
        bytes: 1000,
        ..small()
    });
    let run = |uid, text: &str| {
        let ticket = jobs.ask(about("a", uid)).expect("room");
        ticket.run(|| Ok(json!(text))).expect("done");
    };
    run(7, "");
    (0..5).for_each(|_| run(8, ""));
    let left: Vec<_> = jobs.list(0, 10).jobs.iter().map(|job| job.id).collect();
    assert_eq!(left, [1, 5, 6], "the other user's stays");
    run(7, &"x".repeat(2000));
    let left: Vec<_> = jobs.list(0, 10).jobs.iter().map(|job| job.id).collect();
    assert_eq!(left, [7], "what ended last is always there");
    assert_eq!(jobs.show(1).expect_err("gone").kind(), ErrorKind::NotFound);
}

#[test]
fn who_has_most_bytes_gives_up_bytes_and_all_of_a_job_counts() {
    let jobs = Jobs::with(JobLimits {
        kept: 100,
        bytes: 6000,
        ..small()
    });
    let run = |uid, device: &str, outcome: Result<serde_json::Value, EngineError>| {
        let ticket = jobs.ask(about(device, uid)).expect("room");
        let _ = ticket.run(|| outcome);
    };
    let left = || -> Vec<_> { jobs.list(0, 100).jobs.iter().map(|job| job.id).collect() };
    (0..9).for_each(|_| run(7, "a", Ok(json!({}))));
    run(8, "a", Ok(json!("x".repeat(3000))));
    run(8, "a", Ok(json!("x".repeat(3000))));
    assert_eq!(left(), (1..10).chain([11]).collect::<Vec<_>>());
    // A name and a reason, the latter as shown and as answered.
    let error = EngineError::Daemon {
        attempted: "start",
        kind: ErrorKind::Internal,
        why: "y".repeat(1500),
    };
    run(9, &"z".repeat(1500), Err(error));
    assert_eq!(left(), (1..10).chain([12]).collect::<Vec<_>>());
}

#[test]
fn a_long_reason_is_cut_where_jobs_are_listed_and_whole_in_the_result() {
    let jobs = Jobs::default();
    let error = EngineError::Daemon {
        attempted: "start",
        kind: ErrorKind::Internal,
        why: "ä".repeat(5000),
    };
    let ticket = jobs.ask(about("a", 0)).expect("room");
    assert_eq!(ticket.run(|| Err(error.clone())), Err(error.clone()));
    let reason = jobs.show(1).expect("shown").error.expect("failed").message;
    let cut = reason.strip_suffix('…').expect("cut");
    assert!(cut.len() > 2000 && error.to_string().starts_with(cut));
    assert!(cut.len() <= crate::limits::MAX_JOB_REASON);
    assert_eq!(jobs.result(1), Err(error));
}

#[test]
fn an_answer_that_tells_of_a_failure_is_one_and_is_kept() {
    let jobs = Jobs::default();
    let short = EngineError::invalid("mac", "x", "twice");
    let ticket = jobs.ask(about("", 0)).expect("room");
    let answer = ticket.run(|| {
        fall_short(&short);
        Ok(json!({ "ok": false }))
    });
    assert_eq!(answer, jobs.result(1));
    let view = jobs.show(1).expect("shown");
    assert_eq!(view.state, JobState::Failed);
    assert_eq!(view.error.expect("why").kind, "invalid-argument");
}

#[test]
fn ended_jobs_are_forgotten_in_time_and_that_is_told() {
    let jobs = Jobs::with(JobLimits {
        kept_for: std::time::Duration::ZERO,
        ..small()
    });
    let (mut listener, known, _) = jobs.listen();
    assert!(known.is_empty());
    let ticket = jobs.ask(about("a", 0)).expect("room");
    ticket.run(|| Ok(json!({}))).expect("done");
    assert_eq!(jobs.show(1).expect_err("over").kind(), ErrorKind::NotFound);
    let mut told = Vec::new();
    while let Some(Ok(news)) = listener.try_next() {
        told.push(match &news.news {
            News::Now(view) => view.state.word(),
            News::Forgotten(_) => "forgotten",
        });
    }
    assert_eq!(told, ["queued", "running", "done", "forgotten"]);
}

#[test]
fn pages_are_in_order_and_complete() {
    let jobs = Jobs::default();
    let running = jobs.ask(about("a", 0)).expect("room");
    for _ in 0..4 {
        let ticket = jobs.ask(about("b", 0)).expect("room");
        ticket.run(|| Ok(json!({}))).expect("done");
    }
    let (mut ids, mut after) = (Vec::new(), 0);
    loop {
        let page = jobs.list(after, 2);
        ids.extend(page.jobs.iter().map(|job| job.id));
        after = page.next;
        if after == 0 {
            break;
        }
    }
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    drop(running);
    assert_eq!(state(&jobs, 1), JobState::Failed, "it never ran");
}

#[test]
fn progress_is_told_by_the_percent() {
    let jobs = Jobs::default();
    let ticket = jobs.ask(about("", 0)).expect("room");
    let before = jobs.last_sequence();
    ticket
        .run(|| {
            long(4000);
            (0..4000).for_each(|_| advance(1));
            Ok(json!({}))
        })
        .expect("done");
    let view = jobs.show(1).expect("shown");
    assert_eq!((view.done, view.total), (4000, 4000));
    let told = jobs.last_sequence() - before;
    assert_eq!(told, 103, "begun, its steps, 100 of them, ended");
}

#[test]
fn a_daemon_that_stops_takes_no_more_and_has_those_end_that_can() {
    let jobs = Jobs::default();
    let queued = jobs.ask(about("a", 0)).expect("room");
    let other = jobs.clone();
    let ticket = jobs.ask(about("b", 0)).expect("room");
    let done = ticket.run(|| {
        let door = waits();
        other.close();
        Err(door.shut().expect_err("cut").on("start", "b"))
    });
    assert_eq!(done.expect_err("cut").kind(), ErrorKind::Stopping);
    assert_eq!(state(&jobs, 1), JobState::Cancelled);
    assert_eq!(state(&jobs, 2), JobState::Cancelled);
    drop(queued);
    let refused = jobs.ask(about("c", 0)).expect_err("closed");
    assert_eq!(refused.kind(), ErrorKind::Stopping);
}

#[test]
fn what_turns_out_to_be_long_while_the_daemon_stops_is_cut_and_shown_to_nobody() {
    let jobs = Jobs::default();
    let ticket = jobs.undertake(about("a", 0));
    let (other, before) = (jobs.clone(), jobs.last_sequence());
    let done = ticket.run(|| {
        assert!(!awaited());
        other.close();
        Err(waits().shut().expect_err("cut").on("start", "a"))
    });
    assert_eq!(done.expect_err("cut").kind(), ErrorKind::Stopping);
    assert!(jobs.list(0, 10).jobs.is_empty() && jobs.last_sequence() == before);
}

#[test]
fn a_door_that_opens_while_the_daemon_stops_is_found_shut() {
    let jobs = Jobs::default();
    let other = jobs.clone();
    let ticket = jobs.ask(about("a", 0)).expect("room");
    let done = ticket.run(|| {
        other.close();
        assert_eq!(cut_short(), None, "it has no door open");
        Err(waits().shut().expect_err("cut").on("start", "a"))
    });
    assert_eq!(done.expect_err("cut").kind(), ErrorKind::Stopping);
}

#[test]
fn a_command_that_panics_leaves_no_job_behind_that_runs() {
    let jobs = Jobs::default();
    let ticket = jobs.ask(about("a", 0)).expect("room");
    let run = std::panic::AssertUnwindSafe(|| ticket.run(|| panic!("on purpose")));
    assert!(std::panic::catch_unwind(run).is_err());
    assert_eq!(state(&jobs, 1), JobState::Failed);
    assert_eq!(
        jobs.result(1).expect_err("no answer").kind(),
        ErrorKind::Internal
    );
}
