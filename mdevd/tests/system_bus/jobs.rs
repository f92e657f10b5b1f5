//! Jobs: commands that wait for scripts, and imports, as others on the bus see them.

use std::path::PathBuf;

use super::objects::{Signals, text};
use super::support::bus::{Bus, can_run};
use super::support::{Daemon, House};
use super::*;

/// A script that is asked before commands on `slow-…` and waits until it is let go.
struct Gate(PathBuf);

impl Gate {
    fn of(house: &House) -> Self {
        let gate = house.dir.path().join("gate");
        std::fs::create_dir_all(&gate).expect("made");
        // A script whose asker goes down ends with this directory.
        let body = format!(
            "[ $4 = pre ] || exit 0\ncase ${{14}} in slow-*) ;; *) exit 0 ;; esac\n\
             cd {gate} && echo $$ > asked-${{14}}\nwhile [ -e asked-${{14}} ] && [ ! -e open ]; do sleep 0.02; done\n",
            gate = gate.display()
        );
        house.callout("10-gate", &body);
        Self(gate)
    }

    fn open(&self) {
        std::fs::write(self.0.join("open"), "").expect("written");
    }

    /// Waits until the script is asked about `name`; its process.
    async fn asked_about(&self, name: &str) -> Script {
        let asked = self.0.join(format!("asked-{name}"));
        let wait = async {
            loop {
                let said = std::fs::read_to_string(&asked).unwrap_or_default();
                if let Some(pid) = said.strip_suffix('\n') {
                    return Script(pid.to_owned());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let asked = tokio::time::timeout(PATIENCE, wait).await;
        asked.expect("asked in time")
    }
}

/// A script that runs, or ran.
struct Script(String);

impl Script {
    fn runs(&self) -> bool {
        // One that was killed and not yet waited for is "Z".
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }
}

/// A daemon whose scripts have long, so that nothing ends by their deadline.
fn patient<'a>(bus: &Bus, house: &'a House) -> Daemon<'a> {
    let file = house.file("callout-timeout = 60\n");
    bus.daemon(house, &["--config", &file])
}

fn job() -> HashMap<&'static str, Value<'static>> {
    HashMap::from([("job", Value::from(true))])
}

fn path(id: u32) -> String {
    format!("/io/mdevd1/job/{id}")
}

/// Definitions of these names, in this order.
fn document(names: &[&str]) -> String {
    let each = names.iter().enumerate();
    let each: Vec<_> = each
        .map(|(n, name)| serde_json::json!({ "name": name, "order": n }))
        .collect();
    serde_json::json!({ "format": "mdevd-definitions", "version": 1, "definitions": each })
        .to_string()
}

/// Begins a job: its number, which its path agrees with.
async fn begin(client: &zbus::Connection, method: &str, name: &str) -> u32 {
    let reply = manager(client, method, &(name, job()))
        .await
        .expect("begun");
    let begun: Dict = reply.body().deserialize().expect("a{sv}");
    let id = u64::try_from(&begun["id"]).expect("t");
    let id = u32::try_from(id).expect("small");
    let at = begun["job"].try_clone().expect("copied");
    let at = OwnedObjectPath::try_from(at).expect("o");
    assert_eq!(at.as_str(), path(id));
    id
}

async fn properties(client: &zbus::Connection, id: u32) -> Dict {
    let reply = call(client, &path(id), PROPERTIES, "GetAll", &(JOB_INTERFACE,)).await;
    reply.expect("there").body().deserialize().expect("a{sv}")
}

/// `JobRemoved` of that job: its result.
async fn ended(signals: &mut Signals, id: u32) -> String {
    loop {
        let (_, message) = signals.next("JobRemoved").await;
        let (of, at, result): (u32, OwnedObjectPath, String) =
            message.body().deserialize().expect("uos");
        assert_eq!(at.as_str(), path(of));
        if of == id {
            return result;
        }
    }
}

async fn on_job(client: &zbus::Connection, id: u32, method: &str) -> zbus::Result<Message> {
    call(client, &path(id), JOB_INTERFACE, method, &(none(),)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_answered_at_once_seen_while_it_waits_and_has_its_result_later() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let gate = Gate::of(&house);
    let daemon = patient(&bus, &house);
    let client = bus.client().await;
    let mut signals = Signals::of(&client).await;
    let id = begin(&client, "Create", "slow-1").await;
    gate.asked_about("slow-1").await;
    let (_, message) = signals.next("JobNew").await;
    let (new, _): (u32, OwnedObjectPath) = message.body().deserialize().expect("uo");
    assert_eq!(new, id);
    let now = properties(&client, id).await;
    assert_eq!(text(&now, "State"), "running");
    assert_eq!(
        (text(&now, "Method"), text(&now, "Device")),
        ("Create".to_owned(), "slow-1".to_owned())
    );
    assert_eq!(u32::try_from(&now["Uid"]), Ok(0));
    assert!(u64::try_from(&now["StartedAt"]).expect("t") > 0);
    let (early, _) = refusal(on_job(&client, id, "Result").await);
    assert_eq!(early, "io.mdevd1.Error.NotReady");
    let shown = daemon.json(&["jobs"]);
    assert_eq!(shown[0]["state"], "running", "{shown}");
    assert!(managed(&client).await.len() == 3, "manager, PF and job");

    gate.open();
    assert_eq!(ended(&mut signals, id).await, "done");
    // Its device is told before its end.
    let reply = call(&client, &device("slow_2d1"), PROPERTIES, "GetAll", &("",)).await;
    reply.expect("the device is there");
    let reply = on_job(&client, id, "Result").await.expect("an answer");
    let answer: Dict = reply.body().deserialize().expect("a{sv}");
    assert_eq!(text(&answer, "result"), "created");
    let (late, why) = refusal(on_job(&client, id, "Cancel").await);
    assert_eq!(late, "io.mdevd1.Error.NotCancellable", "{why}");
    // What goes wrong goes wrong as without a job, and arguments are looked at before.
    let id = begin(&client, "Start", "nobody").await;
    assert_eq!(ended(&mut signals, id).await, "failed");
    let (name, message) = refusal(on_job(&client, id, "Result").await);
    let same = refusal(manager(&client, "Start", &("nobody", none())).await);
    assert_eq!((name.clone(), message.clone()), same);
    let now = properties(&client, id).await;
    assert_eq!(
        (text(&now, "Error"), text(&now, "Message")),
        (name, message)
    );
    let options = HashMap::from([("job", Value::from(true)), ("mtu", Value::from("many"))]);
    let (name, _) = refusal(manager(&client, "Create", &("x", options)).await);
    assert_eq!(name, "io.mdevd1.Error.InvalidArgument");
    let long = "a".repeat(100_000);
    for method in ["Create", "Define", "Start", "DestroyAsJob"] {
        let (name, why) = refusal(manager(&client, method, &(long.as_str(), job())).await);
        assert_eq!(name, "io.mdevd1.Error.InvalidArgument");
        assert!(
            why.contains("has at most 63 characters") && why.len() < 500,
            "{why}"
        );
    }
    let (name, why) = refusal(manager(&client, "Destroy", &("slow-1", job())).await);
    assert_eq!(name, "io.mdevd1.Error.InvalidArgument");
    assert!(why.contains("DestroyAsJob"), "{why}");
    let at = device("slow_2d1");
    let reply = call(&client, &at, DEVICE_INTERFACE, "DestroyAsJob", &(none(),)).await;
    let begun: Dict = reply.expect("begun").body().deserialize().expect("a{sv}");
    let id = u32::try_from(u64::try_from(&begun["id"]).expect("t")).expect("small");
    assert_eq!(ended(&mut signals, id).await, "done");
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_wait_make_jobs_where_scripts_do_and_only_there() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let daemon = patient(&bus, &house);
    let client = bus.client().await;
    manager(&client, "Create", &("quick", none()))
        .await
        .expect("created");
    assert_eq!(daemon.json(&["jobs"]), serde_json::json!([]));
    let gate = Gate::of(&house);
    let mut signals = Signals::of(&client).await;
    // At the other door.
    let waits = std::thread::scope(|scope| {
        let waits = scope.spawn(|| daemon.cvfctl(&["create", "slow-1"]));
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let script = gate.asked_about("slow-1").await;
                signals.next("JobNew").await;
                let job = properties(&client, 1).await;
                assert_eq!(text(&job, "Device"), "slow-1");
                // Somebody else takes it back.
                on_job(&client, 1, "Cancel").await.expect("it waits");
                assert_eq!(ended(&mut signals, 1).await, "cancelled");
                assert!(!script.runs(), "it was killed");
            });
        });
        waits.join().expect("it ends")
    });
    assert_eq!(waits.code, 1, "{waits:?}");
    assert!(waits.err.contains("it was cancelled"), "{waits:?}");
    let (name, _) = refusal(on_job(&client, 1, "Result").await);
    assert_eq!(name, "io.mdevd1.Error.Cancelled");
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(1));
    // Nothing of it is left: the name is free.
    gate.open();
    daemon.json(&["create", "slow-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_leaves_its_job_behind_and_one_user_has_so_many() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let gate = Gate::of(&house);
    let daemon = patient(&bus, &house);
    let client = bus.client().await;
    let mut signals = Signals::of(&client).await;
    let leaves = bus.client().await;
    let first = begin(&leaves, "Define", "slow-0").await;
    gate.asked_about("slow-0").await;
    leaves.close().await.expect("closed");
    let mut others = Vec::new();
    for n in 1..mdevd::limits::MAX_JOBS_OF_ONE {
        others.push(begin(&client, "Define", &format!("slow-{n}")).await);
    }
    let (name, why) = refusal(manager(&client, "Define", &("slow-x", job())).await);
    assert_eq!(name, "io.mdevd1.Error.NoResources");
    assert!(why.contains("32 jobs of uid 0"), "{why}");
    // Those whose turn has not come are cancelled before anything of them begins.
    let last = *others.last().expect("many");
    assert_eq!(text(&properties(&client, last).await, "State"), "queued");
    on_job(&client, last, "Cancel").await.expect("queued");
    assert_eq!(text(&properties(&client, last).await, "State"), "cancelled");
    gate.open();
    assert_eq!(ended(&mut signals, first).await, "done");
    let names = daemon.json(&["jobs"]);
    let state = |id: u32| {
        let jobs = names.as_array().expect("a list");
        let job = jobs.iter().find(|job| job["id"] == id).expect("there");
        job["state"].clone()
    };
    assert_eq!(state(first), "done");
    assert_eq!(state(last), "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_tells_its_progress_and_is_cancelled_between_devices() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let gate = Gate::of(&house);
    let daemon = patient(&bus, &house);
    let client = bus.client().await;
    let mut signals = Signals::of(&client).await;
    let text_of = document(&["a", "b", "slow-c", "d"]);
    let id = begin(&client, "Import", &text_of).await;
    gate.asked_about("slow-c").await;
    let now = properties(&client, id).await;
    let progress = now["Progress"].try_clone().expect("copied");
    assert_eq!(<(u64, u64)>::try_from(progress), Ok((3, 8)));
    on_job(&client, id, "Cancel").await.expect("it checks");
    assert_eq!(ended(&mut signals, id).await, "cancelled");
    let (name, why) = refusal(on_job(&client, id, "Result").await);
    assert_eq!(name, "io.mdevd1.Error.Cancelled");
    assert!(why.contains("nothing of it was stored"), "{why}");
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(0));
    // All of it is free for another attempt.
    gate.open();
    let id = begin(&client, "Import", &text_of).await;
    assert_eq!(ended(&mut signals, id).await, "done");
    let now = properties(&client, id).await;
    let progress = now["Progress"].try_clone().expect("copied");
    assert_eq!(<(u64, u64)>::try_from(progress), Ok((8, 8)));
    let reply = on_job(&client, id, "Result").await.expect("an answer");
    let answer: Dict = reply.body().deserialize().expect("a{sv}");
    assert_eq!(bool::try_from(&answer["ok"]), Ok(true));
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(4));
}

/// What is queued at one device takes no place from others, and goes its way in the order in which it was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_on_one_device_follow_one_another_and_others_pass_them() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let gate = Gate::of(&house);
    let daemon = patient(&bus, &house);
    let client = bus.client().await;
    let mut signals = Signals::of(&client).await;
    begin(&client, "Define", "slow-1").await;
    gate.asked_about("slow-1").await;
    for _ in 0..mdevd::limits::MAX_JOBS_AT_ONCE {
        begin(&client, "Start", "slow-1").await;
        begin(&client, "Stop", "slow-1").await;
    }
    let last = begin(&client, "Undefine", "slow-1").await;
    let other = begin(&client, "Create", "other").await;
    assert_eq!(ended(&mut signals, other).await, "done");
    for id in 2..=last {
        assert_eq!(text(&properties(&client, id).await, "State"), "queued");
    }
    gate.open();
    for id in 1..=last {
        assert_eq!(ended(&mut signals, id).await, "done", "job {id}");
    }
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(1));
}

/// A job that waits for a place keeps nobody from its device.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_no_place_yet_lets_others_pass_at_its_device() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let daemon = patient(&bus, &house);
    let client = bus.client().await;
    daemon.json(&["define", "quick"]);
    let gate = Gate::of(&house);
    for n in 0..mdevd::limits::MAX_JOBS_AT_ONCE {
        let name = format!("slow-{n}");
        begin(&client, "Define", &name).await;
        gate.asked_about(&name).await;
    }
    let queued = begin(&client, "Start", "quick").await;
    daemon.json(&["undefine", "quick"]);
    assert_eq!(text(&properties(&client, queued).await, "State"), "queued");
    gate.open();
}

/// A late cancellation is refused where it would change nothing, and what was left out is not counted as done.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_import_starts_is_cut_between_devices_and_counted_as_it_is() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let daemon = patient(&bus, &house);
    let client = bus.client().await;
    let mut signals = Signals::of(&client).await;
    let text_of = document(&["a", "slow-b", "c"]);
    let reply = manager(&client, "Import", &(text_of.as_str(), none())).await;
    reply.expect("imported, which was job 1");
    let gate = Gate::of(&house);
    let options = HashMap::from([("job", Value::from(true)), ("start", Value::from(true))]);
    let reply = manager(&client, "Import", &(text_of.as_str(), options)).await;
    reply.expect("begun");
    gate.asked_about("slow-b").await;
    on_job(&client, 2, "Cancel").await.expect("two are left");
    assert_eq!(ended(&mut signals, 2).await, "cancelled");
    let progress = properties(&client, 2).await["Progress"].try_clone();
    let progress = <(u64, u64)>::try_from(progress.expect("copied"));
    assert_eq!(progress, Ok((8, 9)), "one was started, and one was tried");
    let reply = on_job(&client, 2, "Result").await.expect("an answer");
    let answer: Dict = reply.body().deserialize().expect("a{sv}");
    assert_eq!(bool::try_from(&answer["ok"]), Ok(true), "all are stored");
    assert_eq!(daemon.json(&["show", "a"])["state"], "ready");
    assert_eq!(daemon.json(&["show", "c"])["state"], "defined");
    // One that is refused says so in the list, and has its answer all the same.
    let double = document(&["d", "d"]);
    let reply = manager(&client, "Import", &(double.as_str(), job())).await;
    reply.expect("begun");
    assert_eq!(ended(&mut signals, 3).await, "failed");
    let now = properties(&client, 3).await;
    assert_eq!(text(&now, "Error"), "io.mdevd1.Error.InvalidArgument");
    assert!(
        text(&now, "Message").contains("1 of 2 definitions were refused"),
        "{now:?}"
    );
    let reply = on_job(&client, 3, "Result").await.expect("an answer");
    let answer: Dict = reply.body().deserialize().expect("a{sv}");
    assert_eq!(bool::try_from(&answer["ok"]), Ok(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stops_takes_back_what_waits_and_tells_it() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let gate = Gate::of(&house);
    let daemon = patient(&bus, &house);
    let client = bus.client().await;
    let mut signals = Signals::of(&client).await;
    let id = begin(&client, "Define", "slow-1").await;
    let script = gate.asked_about("slow-1").await;
    assert!(script.runs());
    // A reload leaves it alone.
    daemon.json(&["reload"]);
    assert_eq!(text(&properties(&client, id).await, "State"), "running");
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(ended(&mut signals, id).await, "cancelled");
    let mut daemon = daemon;
    assert!(daemon.child.wait().expect("it ends").success());
    assert!(!script.runs(), "it is not left to itself");
    drop(daemon);
    let again = patient(&bus, &house);
    assert_eq!(again.json(&["list"]), serde_json::json!([]));
    assert_eq!(again.json(&["jobs"]), serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_see_jobs_and_do_not_end_them() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let gate = Gate::of(&house);
    let _daemon = patient(&bus, &house);
    let client = bus.client().await;
    let id = begin(&client, "Define", "slow-1").await;
    gate.asked_about("slow-1").await;
    let at = path(id);
    let said = bus.as_nobody("", &["get-property", NAME, &at, JOB_INTERFACE, "State"]);
    assert_eq!(said.out, "s \"running\"\n", "{said:?}");
    let id_text = id.to_string();
    for call in [
        &["call", NAME, &at, JOB_INTERFACE, "Cancel", "a{sv}", "0"][..],
        &[
            "call",
            NAME,
            MANAGER,
            MANAGER_INTERFACE,
            "CancelJob",
            "ua{sv}",
            &id_text,
            "0",
        ],
        &[
            "call",
            NAME,
            MANAGER,
            MANAGER_INTERFACE,
            "Define",
            "sa{sv}",
            "x",
            "1",
            "job",
            "b",
            "true",
        ],
    ] {
        let said = bus.as_nobody("", call);
        assert_ne!(said.code, 0, "{said:?}");
        assert!(said.err.contains("bus-admin-group"), "{said:?}");
    }
    assert_eq!(text(&properties(&client, id).await, "State"), "running");
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_its_own_users_to_end_and_asks_before_it_is_made() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let gate = Gate::of(&house);
    let file = house.file("callout-timeout = 60\nbus-admin-group = \"daemon\"\n");
    let _daemon = bus.daemon(&house, &["--config", &file]);
    let client = bus.client().await;
    let begin = [
        "call",
        NAME,
        MANAGER,
        MANAGER_INTERFACE,
        "Define",
        "sa{sv}",
        "slow-1",
        "1",
        "job",
        "b",
        "true",
    ];
    let said = bus.as_nobody("", &begin);
    assert!(said.err.contains("cannot define 'slow-1'"), "{said:?}");
    assert_eq!(managed(&client).await.len(), 2, "no job was made");
    let said = bus.as_nobody("daemon", &begin);
    assert_eq!(said.code, 0, "{said:?}");
    gate.asked_about("slow-1").await;
    let job = properties(&client, 1).await;
    assert_eq!(u32::try_from(&job["Uid"]), Ok(65534));
    // Without the group by now, and its own all the same.
    let at = path(1);
    let cancel = ["call", NAME, &at, JOB_INTERFACE, "Cancel", "a{sv}", "0"];
    let said = bus.as_nobody("", &cancel);
    assert_eq!(said.code, 0, "{said:?}");
    let mut signals = Signals::of(&client).await;
    if text(&properties(&client, 1).await, "State") == "running" {
        assert_eq!(ended(&mut signals, 1).await, "cancelled");
    }
    assert_eq!(text(&properties(&client, 1).await, "State"), "cancelled");
}
