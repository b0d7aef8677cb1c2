use std::sync::{Arc, Mutex};

use futures::stream;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

type Diary = Arc<Mutex<Vec<&'static str>>>;

fn supervisor() -> (Supervisor, Readiness) {
    let readiness = Readiness::default();
    readiness.register("test").set_ready();
    (Supervisor::new(readiness.clone(), LIMIT), readiness)
}

async fn until(stop: CancellationToken) -> anyhow::Result<()> {
    stop.cancelled().await;
    Ok(())
}

/// A task that notes when it is told to stop.
fn noting(
    diary: &Diary,
    note: &'static str,
) -> impl FnOnce(CancellationToken) -> futures::future::BoxFuture<'static, anyhow::Result<()>> + use<> {
    let diary = diary.clone();
    move |stop| {
        Box::pin(async move {
            stop.cancelled().await;
            diary.lock().unwrap().push(note);
            Ok(())
        })
    }
}

fn one_signal() -> impl Stream<Item = &'static str> + Unpin {
    stream::iter(["SIGTERM"]).chain(stream::pending())
}

fn no_signal() -> impl Stream<Item = &'static str> + Unpin {
    stream::pending()
}

#[tokio::test(start_paused = true)]
async fn a_task_that_returns_ends_the_process_and_is_named() {
    let (mut supervisor, readiness) = supervisor();
    supervisor.spawn(Stage::Work, "writer", until);
    supervisor.spawn(Stage::Intake, "watch pods", |_| async { Ok(()) });
    let failure = supervisor.run(no_signal()).await.unwrap_err();
    assert_eq!(failure.to_string(), r#"task "watch pods" ended"#);
    assert!(!readiness.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_process_with_its_message() {
    let (mut supervisor, _) = supervisor();
    supervisor.spawn(Stage::Work, "writer", |_| async {
        panic!("impossible plan {}", 7)
    });
    let failure = supervisor.run(no_signal()).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        r#"task "writer" died: panicked: impossible plan 7"#
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_ends_the_process_with_all_its_causes() {
    let (mut supervisor, _) = supervisor();
    supervisor.spawn(Stage::Work, "writer", |_| async {
        Err(anyhow!("disk").context("catalog"))
    });
    let failure = supervisor.run(no_signal()).await.unwrap_err();
    assert_eq!(failure.to_string(), r#"task "writer" failed: catalog: disk"#);
}

#[tokio::test(start_paused = true)]
async fn a_signal_stops_the_stages_in_order_with_the_lease_after_all_work() {
    let diary = Diary::default();
    let (mut supervisor, readiness) = supervisor();
    supervisor.spawn(Stage::Endpoints, "endpoints", noting(&diary, "endpoints"));
    supervisor.spawn(Stage::Leadership, "election", noting(&diary, "lease"));
    let (work, seen) = (diary.clone(), readiness.clone());
    supervisor.spawn(Stage::Work, "writer", move |stop| async move {
        stop.cancelled().await;
        assert!(!seen.is_ready(), "still ready while draining");
        tokio::time::sleep(LIMIT / 2).await;
        work.lock().unwrap().push("work");
        Ok(())
    });
    supervisor.spawn(Stage::Intake, "watch", noting(&diary, "intake"));
    supervisor.run(one_signal()).await.unwrap();
    assert_eq!(*diary.lock().unwrap(), ["intake", "work", "lease", "endpoints"]);
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_finish_keeps_the_lease_from_being_given_back() {
    let diary = Diary::default();
    let (mut supervisor, _) = supervisor();
    supervisor.spawn(Stage::Leadership, "election", noting(&diary, "lease"));
    supervisor.spawn(Stage::Work, "writer", |_| std::future::pending());
    let began = Instant::now();
    let failure = supervisor.run(one_signal()).await.unwrap_err();
    assert!(
        matches!(&failure, Failure::Stuck { names, .. } if names == &["writer"]),
        "{failure}"
    );
    assert_eq!(began.elapsed(), LIMIT);
    assert!(diary.lock().unwrap().is_empty(), "the lease was given back");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_rest_drains_but_the_lease_is_left_to_expire() {
    let diary = Diary::default();
    let (mut supervisor, _) = supervisor();
    supervisor.spawn(Stage::Leadership, "election", noting(&diary, "lease"));
    supervisor.spawn(Stage::Work, "reporter", noting(&diary, "work"));
    supervisor.spawn(Stage::Work, "writer", |_| async { panic!("no") });
    assert!(supervisor.run(no_signal()).await.is_err());
    assert_eq!(*diary.lock().unwrap(), ["work"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_the_wait_at_once() {
    let (mut supervisor, _) = supervisor();
    supervisor.spawn(Stage::Work, "writer", |_| std::future::pending());
    let began = Instant::now();
    let signals = stream::iter(["SIGTERM", "SIGINT"]).chain(stream::pending());
    let failure = supervisor.run(signals).await.unwrap_err();
    assert!(matches!(failure, Failure::Impatient("SIGINT")), "{failure}");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_failing_task_is_started_again_and_counted() {
    let metrics = RuntimeMetrics::default();
    let stop = CancellationToken::new();
    let mut attempts = 0;
    restarting("watch pods", &metrics, stop.clone(), || {
        attempts += 1;
        let stop = if attempts == 4 { Some(stop.clone()) } else { None };
        async move {
            let Some(stop) = stop else {
                return Err(anyhow!("refused"));
            };
            stop.cancel();
            Ok(())
        }
    })
    .await
    .unwrap();
    let restarts = metrics
        .task_restarts
        .get_or_create(&TaskLabels {
            task: "watch pods".to_owned(),
        })
        .get();
    assert_eq!((attempts, restarts), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_task_that_returns_early_is_an_error() {
    let metrics = RuntimeMetrics::default();
    let ended = restarting("watch pods", &metrics, CancellationToken::new(), || async {
        Ok(())
    });
    assert!(ended.await.unwrap_err().to_string().contains("watch pods"));
}

#[tokio::test]
async fn a_real_termination_signal_is_heard() {
    let mut signals = signals().unwrap();
    let pid = std::process::id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let heard = tokio::time::timeout(Duration::from_secs(30), signals.next())
        .await
        .expect("no signal");
    assert_eq!(heard, Some("SIGTERM"));
}
