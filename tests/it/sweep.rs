//! Sweeps as a user runs them: one process, shards, kills at any moment, and what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const USERS: &str = "workload.*.load.closed.users=20..90:10";

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headroom"));
    command
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("HEADROOM_SHARD")
        .env_remove("CLICOLOR_FORCE");
    command
}

/// A sweep of two designs over eight points.
fn sweep(out: &Path, more: &[&str]) -> Command {
    let mut all = vec!["sweep", "scenarios/lambda-to-kubernetes.json", "--vary", USERS, "--quiet"];
    all.extend(["--design", "nginx", "--design", "lambda", "--replications", "2", "--out"]);
    all.push(out.to_str().unwrap());
    all.extend(more);
    command(&all)
}

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn ok(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Exit code and code of the error.
fn refused(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let code = told.split("error[").nth(1).map_or("", |rest| &rest[..5]);
    (output.status.code().unwrap(), code.to_owned())
}

/// Everything that is a result: all files but journals.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let results = entries.filter(|path| path.extension().is_none_or(|e| e != "journal"));
    results
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect()
}

/// Results of one process on one thread.
fn alone(name: &str) -> BTreeMap<String, Vec<u8>> {
    let dir = folder(name);
    ok(&mut sweep(&dir, &["--threads", "1"]));
    files(&dir)
}

#[test]
fn shards_and_threads_come_to_the_same_bytes() {
    let one = alone("sweep-one");
    for name in ["sweep.json", "sweep.csv", "sweep_cost_per_user.svg", "sweep_capacity.png"] {
        assert!(one.contains_key(name), "{:?}", one.keys());
    }
    let dir = folder("sweep-threads");
    ok(&mut sweep(&dir, &["--threads", "8"]));
    assert!(files(&dir) == one);
    let shards = folder("sweep-shards");
    let merged = folder("sweep-merged");
    let merge = ["merge", shards.to_str().unwrap(), "--out", merged.to_str().unwrap()];
    for shard in ["3/4", "1/4"] {
        ok(&mut sweep(&shards, &["--shard", shard]));
    }
    assert_eq!(refused(&mut command(&merge)), (2, "E0023".into()));
    ok(sweep(&shards, &["--shard", "auto"])
        .env("JOB_COMPLETION_INDEX", "1")
        .env("HEADROOM_SHARDS", "4"));
    ok(sweep(&shards, &["--shard", "auto"])
        .env("SLURM_ARRAY_TASK_ID", "4")
        .env("SLURM_ARRAY_TASK_MIN", "1")
        .env("SLURM_ARRAY_TASK_COUNT", "4"));
    ok(&mut command(&merge));
    assert!(files(&merged) == one);
    // A fifth journal with points of the others.
    ok(&mut sweep(&shards, &["--shard", "1/2"]));
    assert_eq!(refused(&mut command(&merge)), (2, "E0022".into()));
    assert_eq!(refused(&mut sweep(&shards, &["--shard", "5/4"])), (2, "E0025".into()));
    assert_eq!(refused(&mut command(&["merge", "docs", "--out", merge[3]])), (2, "E0024".into()));
}

#[test]
fn after_twenty_kills_the_result_has_the_same_bytes() {
    let one = alone("sweep-unkilled");
    let dir = folder("sweep-killed");
    let journal = dir.join("sweep.journal");
    // A fixed sequence of moments, from before the first line to after several points.
    let mut moment = 12_345_u64;
    let mut torn = 0;
    for _ in 0..20 {
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut child = sweep(&dir, &["--resume", "--threads", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis((moment >> 33) % 120));
        child.kill().unwrap();
        child.wait().unwrap();
        // A power cut may leave half of a line as well.
        if let Ok(text) = std::fs::read(&journal)
            && text.len() > 4000
            && torn < 3
        {
            std::fs::write(&journal, &text[..text.len() - 7]).unwrap();
            torn += 1;
        }
    }
    ok(&mut sweep(&dir, &["--resume"]));
    assert!(files(&dir) == one);
    let text = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(text.lines().count(), 1 + 8, "each point once, after the head");
    // Nothing is left to do: a further resume runs nothing and writes the same.
    ok(&mut sweep(&dir, &["--resume"]));
    let again = std::fs::read_to_string(&journal).unwrap();
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert!(sorted(&again) == sorted(&text), "the same lines, in the order of points");
}

#[test]
fn what_cannot_go_on_is_refused() {
    let dir = folder("sweep-refused");
    ok(&mut sweep(&dir, &["--vary", "run.seed=1"]));
    assert_eq!(refused(&mut sweep(&dir, &["--vary", "run.seed=1"])), (2, "E0020".into()));
    for other in [["--vary", "run.seed=2"], ["--vary", "run.seed=1,2"]] {
        let mut all = other.to_vec();
        all.push("--resume");
        assert_eq!(refused(&mut sweep(&dir, &all)), (2, "E0021".into()));
    }
    // A bad point is refused before anything is written.
    let dir = folder("sweep-bad");
    let bad = sweep(&dir, &["--vary", "designs.nginx.nodes.*.nginx.workers=1,0"]).output().unwrap();
    let told = String::from_utf8(bad.stderr).unwrap();
    assert!(told.contains("E0207") && told.contains("at the point") && !dir.exists(), "{told}");
    assert_eq!(refused(&mut sweep(&dir, &["--vary", "desings.*=1"])), (2, "E0233".into()));
    assert_eq!(refused(&mut sweep(&dir, &["--design", "lamda"])), (2, "E0234".into()));
    assert_eq!(refused(&mut sweep(&dir, &["--vary", "users"])), (2, "E0230".into()));
}

#[test]
fn the_manifest_is_yaml_and_carries_the_scenario() {
    let args = [
        "sweep",
        "scenarios/lambda-to-kubernetes.json",
        "--vary",
        USERS,
        "--emit",
        "k8s-job",
        "--shards",
        "6",
    ];
    let text = String::from_utf8(ok(&mut command(&args)).stdout).unwrap();
    let documents: Vec<serde_json::Value> = text
        .split("---\n")
        .map(|part| {
            let (tree, findings) = headroom::scenario::parse(part.as_bytes());
            assert!(findings.is_empty(), "{:?}", findings.sorted());
            tree.unwrap().to_json()
        })
        .collect();
    let scenario = documents[0]["data"]["scenario"].as_str().unwrap();
    let written = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/scenarios/lambda-to-kubernetes.json"
    ))
    .unwrap();
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(read(scenario), read(&written));
    let job = &documents[1];
    assert_eq!(job["spec"]["completionMode"], "Indexed");
    assert_eq!(job["spec"]["completions"], 6);
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"][0]["value"], "6");
    assert_eq!(container["args"][3], USERS);
}

#[test]
fn the_csv_is_tidy() {
    let dir = folder("sweep-csv");
    let out =
        ok(&mut sweep(&dir, &["--vary", "designs.*.nodes.*.nginx.workers=1,2", "--format", "csv"]));
    let text = String::from_utf8(out.stdout).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(
        header,
        ["point", "users", "workers", "design", "metric", "value", "low", "high", "unit"]
    );
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let success = rows.iter().filter(|row| &row[4] == "success_rate").count();
    assert_eq!(success, 8 * 2 * 2);
    for row in &rows {
        let [value, low, high] = [5, 6, 7].map(|i| row[i].parse::<f64>().unwrap());
        assert!(low <= value && value <= high, "{row:?}");
    }
}

/// The document is followed command by command, and what it says of the bytes holds.
#[test]
fn the_document_on_scaling_out_does_what_it_says() {
    let dir = folder("scale-out");
    std::fs::create_dir_all(&dir).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(root.join("scenarios/lambda-to-kubernetes.json"), dir.join("burst.json"))
        .unwrap();
    let document = std::fs::read_to_string(root.join("docs/scale-out.md")).unwrap();
    let followed = super::common::follow("docs/scale-out.md", &document, &|args| {
        let output = command(args).current_dir(&dir).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    });
    assert_eq!(followed, 5);
    assert!(files(&dir.join("all")) == files(&dir.join("one")));
}

/// Points that stop when they are precise are the same in shards, and their journal is not that of another precision.
#[test]
fn a_sweep_stops_at_each_point_when_it_is_precise() {
    let dir = folder("sweep-precise");
    let precise = ["--precision", "3%", "--most", "60", "--shard"];
    for shard in ["1/2", "2/2"] {
        ok(&mut sweep(&dir, &[&precise[..], &[shard]].concat()));
    }
    let merged = folder("sweep-precise-merged");
    let merge = ["merge", dir.to_str().unwrap(), "--out", merged.to_str().unwrap()];
    let table = String::from_utf8(ok(&mut command(&merge)).stdout).unwrap();
    assert!(table.contains("(20 replications)"), "{table}");
    let whole = folder("sweep-precise-whole");
    ok(&mut sweep(&whole, &precise[..4]));
    assert!(files(&merged) == files(&whole));
    let other = ["--precision", "4%", "--most", "60", "--resume"];
    assert_eq!(refused(&mut sweep(&whole, &other)), (2, "E0021".into()));
}
