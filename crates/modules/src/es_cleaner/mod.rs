//! Old indices, deleted: those whose names end in a date that is longer ago than they are kept.
//!
//! `settings` says which and how old, `date_format` and `choice` look at names, and here is what is asked of the
//! cluster. One index is deleted at a time, by its full name.

mod choice;
mod date_format;
mod settings;

use std::sync::Arc;

use baikonur_stream::{Clock, ConsumerName};
use jiff::civil::Date;
use jiff::tz::Offset;
use metrics::{Counter, counter};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::sync::watch;
use tracing::{error, info};

pub use settings::{InvalidSettings, Settings};

use crate::cluster::{Amazon, Answered, Call, Client, Content, query, segment};
use choice::{Choice, age_in_days};

/// What is asked of every index.
const COLUMNS: &str = "index,docs.count,store.size";

/// Deletes the old indices of one cluster.
pub struct Cleaner {
    client: Client,
    choice: Choice,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

/// An index that is older than it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldIndex {
    /// Its name.
    pub name: String,
    /// The date in it.
    pub date: Date,
    /// Days from then to today, in UTC.
    pub age_days: i64,
    /// How many documents it has; none when the cluster does not say, as of closed ones.
    pub documents: Option<u64>,
    /// What it takes on the disks, replicas included.
    pub bytes: Option<u64>,
}

/// The cluster did not do what was asked; says where, why, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CleanError(String);

#[derive(Deserialize)]
struct Row {
    index: String,
    #[serde(rename = "docs.count")]
    documents: Option<String>,
    #[serde(rename = "store.size")]
    bytes: Option<String>,
}

impl Cleaner {
    /// A cleaner of the cluster that `settings` name; `amazon` is asked for credentials where requests are to be
    /// signed. Nothing is sent yet.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        amazon: Option<Arc<dyn Amazon>>,
    ) -> Result<Self, InvalidSettings> {
        let choice = Choice::new(&settings)?;
        let client = Client::new(&settings.cluster, amazon, Arc::clone(&clock))?;
        Ok(Self { client, choice, settings, clock })
    }

    /// The indices that are old now, the oldest first.
    ///
    /// # Errors
    /// The cluster cannot be asked.
    pub async fn find(&self) -> Result<Vec<OldIndex>, CleanError> {
        let query = query(&[("format", "json"), ("bytes", "b"), ("h", COLUMNS)]);
        let answered = self.call(&Method::GET, "_cat/indices", &query).await?;
        if answered.status != StatusCode::OK {
            let hint = "who calls needs the right to list indices (monitor)";
            return Err(CleanError(answered.explained(hint)));
        }
        let rows: Vec<Row> = serde_json::from_slice(&answered.body).map_err(|error| {
            CleanError(format!("{}: the answer is no list of indices ({error})", answered.shown))
        })?;
        let today = self.today();
        let old = rows.into_iter().filter_map(|row| {
            let date = self.choice.date_if_old(&row.index, today)?;
            Some(OldIndex {
                age_days: age_in_days(date, today),
                documents: row.documents.and_then(|text| text.parse().ok()),
                bytes: row.bytes.and_then(|text| text.parse().ok()),
                name: row.index,
                date,
            })
        });
        let mut old: Vec<_> = old.collect();
        old.sort_by(|one, other| (one.date, &one.name).cmp(&(other.date, &other.name)));
        Ok(old)
    }

    /// Whether the settings allow to look only: [`Self::delete`] deletes nothing then.
    pub fn is_dry_run(&self) -> bool {
        self.settings.dry_run_only
    }

    /// Deletes an index. It may be gone already.
    ///
    /// # Errors
    /// The settings say `dry_run_only`, and nothing was sent; or the cluster does not delete it.
    pub async fn delete(&self, index: &OldIndex) -> Result<(), CleanError> {
        // Here, so that nobody who calls can forget it.
        if self.is_dry_run() {
            let why = "dry_run_only is true: nothing is deleted until it is false";
            return Err(CleanError(why.to_owned()));
        }
        let answered = self.call(&Method::DELETE, &segment(&index.name), "").await?;
        match answered.status {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => {
                let hint = "who calls needs the right to delete indices (delete_index); an index that is in a snapshot just now is deleted next time";
                Err(CleanError(answered.explained(hint)))
            }
        }
    }

    /// Cleans at once and then as the schedule says, until `stopped` is true.
    pub async fn run(self, name: ConsumerName, mut stopped: watch::Receiver<bool>) {
        // Checked when the cleaner was made.
        let Ok(interval) = self.settings.interval() else { return };
        let meters = Meters::new(&name);
        loop {
            self.clean(&name, &meters, &stopped).await;
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
        }
    }

    async fn clean(&self, name: &ConsumerName, meters: &Meters, stopped: &watch::Receiver<bool>) {
        let old = match self.find().await {
            Ok(old) => old,
            Err(what) => {
                meters.failed.increment(1);
                error!(module = %name, "old indices cannot be found: {what}");
                return;
            }
        };
        info!(module = %name, dry_run = self.is_dry_run(), "{} indices are older than {} days", old.len(), self.settings.max_age_days);
        for index in &old {
            if *stopped.borrow() {
                return;
            }
            if self.is_dry_run() {
                info!(module = %name, "{} would be deleted", index.name);
                continue;
            }
            match self.delete(index).await {
                Ok(()) => {
                    meters.deleted.increment(1);
                    info!(module = %name, "{} is deleted, {} days old", index.name, index.age_days);
                }
                Err(what) => {
                    meters.failed.increment(1);
                    error!(module = %name, "{} is not deleted: {what}", index.name);
                }
            }
        }
    }

    async fn call(&self, method: &Method, path: &str, query: &str) -> Result<Answered, CleanError> {
        let call = Call { method, path, query, content: Content::Nothing };
        self.client.call(call).await.map_err(|error| CleanError(error.to_string()))
    }

    fn today(&self) -> Date {
        let millis = i64::try_from(self.clock.now().millis()).unwrap_or(i64::MAX);
        let now = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Offset::UTC.to_datetime(now).date()
    }
}

struct Meters {
    deleted: Counter,
    failed: Counter,
}

impl Meters {
    fn new(name: &ConsumerName) -> Self {
        let indices = |outcome: &'static str| counter!("baikonur_es_cleaner_indices_total", "module" => name.to_string(), "outcome" => outcome);
        Self { deleted: indices("deleted"), failed: indices("failed") }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use baikonur_stream::Timestamp;
    use jiff::civil::date;

    use super::*;
    use crate::cluster;
    use crate::cluster::doubles::{ClusterDouble, Reply};

    /// Noon of 2025-03-31.
    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_743_422_400)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    const LISTED: &str = r#"[
        {"index":"logs-b-20250101","docs.count":"7","store.size":"4096"},
        {"index":"logs-a-20250102","docs.count":null,"store.size":null},
        {"index":"logs-a-20250330","docs.count":"1","store.size":"1"},
        {"index":".logs-a-20250101","docs.count":"1","store.size":"1"},
        {"index":"logs-a","docs.count":"1","store.size":"1"}]"#;

    fn cleaner(cluster: &ClusterDouble, dry_run_only: bool) -> Cleaner {
        let destination = vec![cluster.url.clone()];
        let settings = Settings {
            cluster: cluster::Settings { destination, ..cluster::Settings::default() },
            index_name_prefix: vec!["logs".to_owned()],
            max_age_days: 30,
            dry_run_only,
            ..Settings::default()
        };
        Cleaner::new(settings, Arc::new(Noon), None).unwrap()
    }

    async fn run_once(cluster: &ClusterDouble, dry_run_only: bool) -> Vec<String> {
        let (_stop, stopped) = watch::channel(false);
        let name = ConsumerName::new("clean");
        cleaner(cluster, dry_run_only).clean(&name, &Meters::new(&name), &stopped).await;
        let requests = cluster.requests().into_iter();
        requests.map(|request| request.line.replace(" HTTP/1.1", "")).collect()
    }

    fn listed() -> Reply {
        Reply::Answer(200, LISTED.to_owned())
    }

    #[tokio::test]
    async fn old_indices_are_found_the_oldest_first() {
        let cluster = ClusterDouble::start(vec![listed()]).await;
        let old = cleaner(&cluster, false).find().await.unwrap();
        assert_eq!(
            old,
            [
                OldIndex {
                    name: "logs-b-20250101".to_owned(),
                    date: date(2025, 1, 1),
                    age_days: 89,
                    documents: Some(7),
                    bytes: Some(4096),
                },
                OldIndex {
                    name: "logs-a-20250102".to_owned(),
                    date: date(2025, 1, 2),
                    age_days: 88,
                    documents: None,
                    bytes: None,
                },
            ]
        );
    }

    #[tokio::test]
    async fn each_is_deleted_by_its_name_and_one_that_fails_keeps_none_of_the_others() {
        let refused = Reply::Answer(403, String::new());
        let cluster =
            ClusterDouble::start(vec![listed(), refused, Reply::Answer(404, String::new())]).await;
        let requests = run_once(&cluster, false).await;
        assert_eq!(requests[1..], ["DELETE /logs-b-20250101", "DELETE /logs-a-20250102"]);
    }

    #[tokio::test]
    async fn who_calls_a_dry_run_deletes_nothing_either() {
        let cluster = ClusterDouble::start(vec![listed()]).await;
        let cleaner = cleaner(&cluster, true);
        let old = cleaner.find().await.unwrap();
        assert!(cleaner.is_dry_run());
        let error = cleaner.delete(&old[0]).await.unwrap_err();
        assert!(error.to_string().contains("dry_run_only"), "{error}");
        assert_eq!(cluster.requests().len(), 1, "the list alone was asked for");
    }

    #[tokio::test]
    async fn a_dry_run_and_an_answer_that_is_no_list_delete_nothing() {
        let cluster = ClusterDouble::start(vec![listed()]).await;
        assert_eq!(run_once(&cluster, true).await.len(), 1);
        for reply in
            [Reply::Answer(200, "<html>".to_owned()), Reply::Answer(403, String::new()), Reply::Cut]
        {
            let cluster = ClusterDouble::start(vec![reply]).await;
            assert_eq!(run_once(&cluster, false).await.len(), 1);
        }
    }
}
