//! Log directories: ownership, checkpoints, clean and unclean stops, deletion.

use super::*;
use crate::directory::{DirectoryError, LoadOptions, LogDirectory};
use crate::meta_properties::{MetaProperties, MetaVersion};
use protocol::ids::{BrokerEpoch, BrokerId, Uuid};

const ID: Uuid = Uuid([7; 16]);

fn config(_: &str) -> Arc<LogConfig> {
    Arc::new(small_segments())
}

fn options() -> LoadOptions<'static> {
    LoadOptions {
        threads: 3,
        now: NOW,
        config: &config,
    }
}

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, PartitionIndex(partition))
}

#[test]
fn a_directory_has_one_user_who_is_named_to_the_next() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("data");
    let directory = LogDirectory::open(&path).unwrap();
    match LogDirectory::open(&path) {
        Err(error @ DirectoryError::InUse { .. }) => {
            let text = error.to_string();
            assert!(text.contains(&std::process::id().to_string()), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(directory.identity(), None);
    let identity = MetaProperties {
        version: MetaVersion::V1,
        node_id: Some(BrokerId(1)),
        cluster_id: Some("c".to_owned()),
        directory_id: Some(ID),
        others: Default::default(),
    };
    directory.write_identity(&identity).unwrap();
    drop(directory);
    assert_eq!(
        LogDirectory::open(&path).unwrap().identity(),
        Some(identity)
    );
}

#[test]
fn logs_come_back_after_clean_and_unclean_stops() {
    let root = tempfile::tempdir().unwrap();
    let partitions: Vec<_> = (0..7).map(|at| partition("orders", at)).collect();
    let directory = LogDirectory::open(root.path()).unwrap();
    assert!(!directory.was_clean());
    for tp in &partitions {
        let mut log = directory.create_log(tp, ID, config(""), NOW).unwrap();
        for at in 0..20 {
            append(&mut log, batch(1 + tp.partition.0 as usize, at)).unwrap();
        }
    }
    drop(directory);
    for clean in [false, true, false] {
        let directory = LogDirectory::open(root.path()).unwrap();
        assert_eq!(directory.was_clean(), clean);
        assert_eq!(
            directory.last_broker_epoch(),
            clean.then_some(BrokerEpoch(42))
        );
        let loaded = directory.load_logs(&options()).unwrap();
        assert!(loaded.failed.is_empty());
        assert_eq!(loaded.logs.len(), 7);
        assert!(!root.path().join(".kafka_cleanshutdown").exists());
        let mut closed = Vec::new();
        for (tp, log) in partitions.iter().zip(loaded.logs) {
            assert_eq!((log.topic_partition(), log.topic_id()), (tp, Some(ID)));
            assert_eq!(
                log.log_end_offset(),
                Offset(20 * (1 + i64::from(tp.partition.0)))
            );
            closed.push(log.close().unwrap());
        }
        if clean {
            continue;
        }
        let points: Vec<_> = closed
            .iter()
            .map(|c| (c.topic_partition.clone(), c.recovery_point))
            .collect();
        directory.write_recovery_points(&points).unwrap();
        directory.write_log_start_offsets(&[]).unwrap();
        directory.mark_clean(BrokerEpoch(42)).unwrap();
        let marker = std::fs::read_to_string(root.path().join(".kafka_cleanshutdown")).unwrap();
        assert_eq!(marker, r#"{"version":0,"brokerEpoch":42}"#);
        let checkpoint = root.path().join("recovery-point-offset-checkpoint");
        let checkpoint = std::fs::read_to_string(checkpoint).unwrap();
        assert!(
            checkpoint.starts_with("0\n7\norders 0 20\norders 1 40\n"),
            "{checkpoint}"
        );
    }
}

#[test]
fn high_watermarks_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let directory = LogDirectory::open(root.path()).unwrap();
    let marks = [
        (partition("a", 0), Offset(5)),
        (partition("b", 1), Offset(7)),
    ];
    directory.write_high_watermarks(&marks).unwrap();
    assert_eq!(
        directory.high_watermarks().unwrap(),
        marks.into_iter().collect()
    );
}

#[test]
fn what_is_not_ours_survives_and_what_was_deleted_goes() {
    let root = tempfile::tempdir().unwrap();
    let make = |name: &str| std::fs::create_dir(root.path().join(name)).unwrap();
    for name in [
        "lost+found",
        "t-0.0102030405060708090a0b0c0d0e0f10-stray",
        "t-1.0102030405060708090a0b0c0d0e0f10-future",
        "remote-log-index-cache",
        "__cluster_metadata-0",
        "t-2.0102030405060708090a0b0c0d0e0f10-delete",
    ] {
        make(name);
    }
    std::fs::write(root.path().join("cleaner-offset-checkpoint"), "0\n0\n").unwrap();
    let directory = LogDirectory::open(root.path()).unwrap();
    let loaded = directory.load_logs(&options()).unwrap();
    assert!(loaded.logs.is_empty() && loaded.failed.is_empty());
    let mut left: Vec<_> = std::fs::read_dir(root.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    let expected = [
        ".lock",
        "__cluster_metadata-0",
        "cleaner-offset-checkpoint",
        "lost+found",
        "remote-log-index-cache",
        "t-0.0102030405060708090a0b0c0d0e0f10-stray",
        "t-1.0102030405060708090a0b0c0d0e0f10-future",
    ];
    assert_eq!(left, expected);
}

#[test]
fn a_deleted_log_is_renamed_at_once_and_then_removed() {
    let root = tempfile::tempdir().unwrap();
    let directory = LogDirectory::open(root.path()).unwrap();
    let tp = partition("orders", 0);
    let short = Arc::new(LogConfig {
        file_delete_delay_ms: 1,
        ..LogConfig::default()
    });
    let mut log = directory.create_log(&tp, ID, short.clone(), NOW).unwrap();
    append(&mut log, batch(1, 1)).unwrap();
    let again = directory.create_log(&tp, ID, short.clone(), NOW);
    assert!(matches!(again, Err(crate::OpenError::Exists { .. })));
    let removal = log.delete().unwrap();
    let names = || {
        let entries = std::fs::read_dir(root.path()).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        names
            .filter(|n| n.starts_with("orders"))
            .collect::<Vec<_>>()
    };
    assert_eq!(names().len(), 1);
    assert!(names()[0].ends_with("-delete"), "{:?}", names());
    let fresh = directory.create_log(&tp, ID, short, NOW).unwrap();
    assert_eq!(fresh.log_end_offset(), Offset(0));
    run(removal.run());
    assert_eq!(names(), ["orders-0"]);
}

#[test]
fn a_gap_is_left_alone_where_the_log_was_compacted_or_nobody_knows() {
    const CLEANED: &str = "cleaner-offset-checkpoint";
    const POINTS: &str = "recovery-point-offset-checkpoint";
    let cases = [
        (CLEANED, "", 90),
        (CLEANED, "0\n1\nother 0 9\n", 90),
        (CLEANED, "0\n1\nt 0 30\n", 180),
        (CLEANED, "damaged", 180),
        (POINTS, "damaged", 180),
    ];
    for (checkpoint, content, end) in cases {
        let root = tempfile::tempdir().unwrap();
        let tp = TopicPartition::new("t", PartitionIndex(0));
        let config = Arc::new(small_segments());
        let directory = LogDirectory::open(root.path()).unwrap();
        let created = directory.create_log(&tp, ID, config.clone(), NOW);
        let mut log = created.unwrap();
        for at in 0..60 {
            if log.log_end_offset() == Offset(90) {
                let roll = log.start_roll(NOW).unwrap();
                log.finish_write(run(roll.run()), &mut Vec::new());
            }
            append(&mut log, batch(3, at)).unwrap();
        }
        // As if the segment that begins at 90 had never been.
        drop((log, directory));
        let partition = root.path().join("t-0");
        for kind in Kind::ALL {
            let _ = std::fs::remove_file(crate::file_name::path(&partition, Offset(90), kind));
        }
        if !content.is_empty() {
            std::fs::write(root.path().join(checkpoint), content).unwrap();
        }
        let directory = LogDirectory::open(root.path()).unwrap();
        let log = directory.open_log(&tp, config, NOW).unwrap().unwrap();
        assert_eq!(log.log_end_offset(), Offset(end), "{checkpoint}: {content}");
    }
}
