# The event source mapping between a stream and a function, and what it needs the function's role to allow. Internal: the
# modules beside it call it.
#
# There is no tumbling window: none of the functions answers with a state, so Lambda would count each invocation as failed.

locals {
  source_arn = var.enhanced_fan_out ? aws_kinesis_stream_consumer.consumer[0].arn : var.stream_arn
}

resource "aws_kinesis_stream_consumer" "consumer" {
  count = var.enhanced_fan_out ? 1 : 0

  name       = var.name
  stream_arn = var.stream_arn
}

resource "aws_lambda_event_source_mapping" "kinesis" {
  function_name    = var.function_arn
  event_source_arn = local.source_arn
  enabled          = var.enabled

  batch_size                         = var.batch_size
  maximum_batching_window_in_seconds = var.maximum_batching_window_in_seconds
  parallelization_factor             = var.parallelization_factor
  starting_position                  = var.starting_position
  starting_position_timestamp        = var.starting_position_timestamp

  maximum_retry_attempts         = var.maximum_retry_attempts
  maximum_record_age_in_seconds  = var.maximum_record_age_in_seconds
  bisect_batch_on_function_error = var.bisect_batch_on_function_error
  # The functions answer so. Without it Lambda would take an answer that names failures for a success.
  function_response_types = ["ReportBatchItemFailures"]

  dynamic "destination_config" {
    for_each = var.on_failure_destination_arn[*]
    content {
      on_failure {
        destination_arn = destination_config.value
      }
    }
  }

  kms_key_arn = var.filter_criteria_kms_key_arn
  dynamic "filter_criteria" {
    for_each = length(var.filter_criteria) > 0 ? [var.filter_criteria] : []
    content {
      dynamic "filter" {
        for_each = filter_criteria.value
        content {
          pattern = filter.value
        }
      }
    }
  }

  dynamic "metrics_config" {
    for_each = var.mapping_metrics ? [["EventCount"]] : []
    content {
      metrics = metrics_config.value
    }
  }

  tags = var.tags

  lifecycle {
    precondition {
      condition     = (var.starting_position == "AT_TIMESTAMP") == (var.starting_position_timestamp != null)
      error_message = "starting_position_timestamp goes with starting_position AT_TIMESTAMP, and only with it."
    }
  }
}
