//! What an operator looks at: `/health` and `/metrics`.

use baikonur_api::{Page, Pages};
use baikonur_engine::{Engine, Health};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::sync::watch;

/// The pages of a running pipeline.
pub(super) struct OperatorPages {
    /// None where there are no embedded streams.
    engine: Option<Engine>,
    metrics: PrometheusHandle,
    draining: watch::Receiver<bool>,
}

/// The content type of the Prometheus text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

impl OperatorPages {
    pub(super) fn new(
        engine: Option<Engine>,
        metrics: PrometheusHandle,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Self { engine, metrics, draining }
    }

    /// 200 while records are taken, 503 otherwise; damage alone is told, and does not close the door.
    fn health(&self) -> Page {
        let health = self.engine.as_ref().map(Engine::health);
        let well = Health { writes_closed: None, damaged: Vec::new() };
        let Health { writes_closed, damaged } = health.unwrap_or(well);
        let (status, word) = match (&writes_closed, *self.draining.borrow()) {
            (Some(_), _) => (503, "writes_closed"),
            (None, true) => (503, "draining"),
            (None, false) if !damaged.is_empty() => (200, "damaged"),
            (None, false) => (200, "ok"),
        };
        let body = json!({ "status": word, "writes_closed": writes_closed, "damaged": damaged });
        Page { status, content_type: JSON, body: format!("{body}\n").into() }
    }
}

impl Pages for OperatorPages {
    fn get(&self, path: &str) -> Option<Page> {
        match path {
            "/health" => Some(self.health()),
            "/metrics" => {
                let body = self.metrics.render().into();
                Some(Page { status: 200, content_type: PROMETHEUS_TEXT, body })
            }
            _ => None,
        }
    }
}
