//! For the tests of this module: settings.

use super::Settings;
use crate::cluster;

pub(super) fn settings() -> Settings {
    Settings {
        cluster: cluster::Settings {
            destination: vec!["http://127.0.0.1:9200".to_owned()],
            ..cluster::Settings::default()
        },
        index_name_prefix: "logs".to_owned(),
        ..Settings::default()
    }
}
