use super::*;

fn job(state: JobState, done: u64, total: u64) -> JobView {
    JobView {
        id: 7,
        method: "Start".to_owned(),
        device: "web1".to_owned(),
        state,
        done,
        total,
        uid: 107,
        asked_us: 1,
        started_us: None,
        ended_us: None,
        error: None,
    }
}

#[test]
fn jobs_are_a_table_and_none_is_said() {
    let none = list(Terminal::default(), &[]);
    assert!(none.starts_with("no jobs"), "{none}");
    let all = list(Terminal::default(), &[job(JobState::Running, 0, 1)]);
    let lines: Vec<Vec<&str>> = all
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[1], ["7", "start", "web1", "running", "0/1", "107"]);
}

#[test]
fn progress_is_said_in_steps_and_percent() {
    let at = |done, total| progress(&job(JobState::Running, done, total));
    assert_eq!(at(120, 300), "import: 120 of 300 steps (40 %)");
    assert_eq!(at(0, 0), "import: 0 of 0 steps (0 %)");
    assert!(progress(&job(JobState::Queued, 0, 1)).contains("waits"));
}
