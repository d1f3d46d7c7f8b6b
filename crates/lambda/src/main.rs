//! `bootstrap`: what AWS Lambda starts on `provided.al2023`.

mod log;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use baikonur_lambda::{Environment, KinesisEvent, Opened, clean, open_function};
use baikonur_stream::{Clock, SystemClock};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tracing::{Instrument, error, error_span};

/// What is left of a function's time for its answer, and of short times a fifth.
const TO_ANSWER: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log::begin();
    let variable = |name| std::env::var(name).unwrap_or_default();
    let memory_mb = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").parse().ok();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let environment = Environment::read(std::env::vars());
    let (handler, function) = (variable("_HANDLER"), variable("AWS_LAMBDA_FUNCTION_NAME"));
    let opened = open_function(&handler, &function, memory_mb, environment, Arc::clone(&clock));
    let opened = match opened.await {
        Ok(opened) => Mutex::new(opened),
        Err(why) => {
            error!(%why, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    let served = run(service_fn(async |event| serve(&opened, &*clock, event).await)).await;
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            error!(%why, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    opened: &Mutex<Opened>,
    clock: &dyn Clock,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Value, Error> {
    let LambdaEvent { payload, context } = event;
    let trace_id = context.xray_trace_id.as_deref().unwrap_or_default();
    // Of the highest level, so that each line that is written at all says whose it is. The runtime's own span, of a lower
    // one, has the same names.
    let span = error_span!("invocation", requestId = context.request_id, xrayTraceId = trace_id);
    async {
        match &mut *opened.lock().await {
            Opened::Deliver(function) => {
                let event: KinesisEvent = serde_json::from_str(payload.get())?;
                let left = context.deadline.saturating_sub(clock.now().millis());
                let left = Duration::from_millis(left);
                let patience = left.saturating_sub(TO_ANSWER.min(left / 5));
                Ok(serde_json::to_value(function.invoke(event, patience).await?)?)
            }
            Opened::Clean(cleaner) => Ok(serde_json::to_value(clean(cleaner).await?)?),
        }
    }
    .instrument(span)
    .await
}
