# Every parameter of the mapping and every right that it needs, with the real provider's schema and no account: terraform test

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                               = "logs"
  function_arn                       = "arn:aws:lambda:eu-west-1:123456789012:function:logs"
  stream_arn                         = "arn:aws:kinesis:eu-west-1:123456789012:stream/router"
  stream_kms_key_arn                 = null
  enabled                            = true
  enhanced_fan_out                   = false
  batch_size                         = 500
  maximum_batching_window_in_seconds = 0
  parallelization_factor             = 1
  starting_position                  = "TRIM_HORIZON"
  starting_position_timestamp        = null
  maximum_retry_attempts             = -1
  maximum_record_age_in_seconds      = -1
  bisect_batch_on_function_error     = false
  on_failure_destination_arn         = null
  on_failure_kms_key_arn             = null
  filter_criteria                    = []
  filter_criteria_kms_key_arn        = null
  mapping_metrics                    = false
  tags                               = {}
}

run "failures_of_single_records_are_always_understood" {
  assert {
    condition     = aws_lambda_event_source_mapping.kinesis.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = jsonencode(aws_lambda_event_source_mapping.kinesis.function_response_types)
  }
  assert {
    condition = (
      length(aws_lambda_event_source_mapping.kinesis.destination_config) == 0 &&
      length(aws_lambda_event_source_mapping.kinesis.filter_criteria) == 0 &&
      length(aws_lambda_event_source_mapping.kinesis.metrics_config) == 0 &&
      aws_lambda_event_source_mapping.kinesis.tumbling_window_in_seconds == null
    )
    error_message = "Something is configured that nobody asked for."
  }
  assert {
    condition     = [for statement in output.statements : statement.Sid] == ["ReadStream"]
    error_message = jsonencode(output.statements)
  }
}

run "every_parameter_reaches_the_mapping" {
  variables {
    enabled                            = false
    batch_size                         = 10000
    maximum_batching_window_in_seconds = 300
    parallelization_factor             = 10
    starting_position                  = "AT_TIMESTAMP"
    starting_position_timestamp        = "2026-01-31T08:00:00Z"
    maximum_retry_attempts             = 10000
    maximum_record_age_in_seconds      = 604800
    bisect_batch_on_function_error     = true
    on_failure_destination_arn         = "arn:aws:sqs:eu-west-1:123456789012:failed"
    filter_criteria                    = ["{\"data\":{\"level\":[\"ERROR\"]}}", "{\"partitionKey\":[\"1\"]}"]
    filter_criteria_kms_key_arn        = "arn:aws:kms:eu-west-1:123456789012:key/filter"
    mapping_metrics                    = true
    tags                               = { team = "logs" }
  }
  assert {
    condition = [
      aws_lambda_event_source_mapping.kinesis.function_name,
      aws_lambda_event_source_mapping.kinesis.event_source_arn,
      aws_lambda_event_source_mapping.kinesis.enabled,
      aws_lambda_event_source_mapping.kinesis.batch_size,
      aws_lambda_event_source_mapping.kinesis.maximum_batching_window_in_seconds,
      aws_lambda_event_source_mapping.kinesis.parallelization_factor,
      aws_lambda_event_source_mapping.kinesis.starting_position,
      aws_lambda_event_source_mapping.kinesis.starting_position_timestamp,
      aws_lambda_event_source_mapping.kinesis.maximum_retry_attempts,
      aws_lambda_event_source_mapping.kinesis.maximum_record_age_in_seconds,
      aws_lambda_event_source_mapping.kinesis.bisect_batch_on_function_error,
      aws_lambda_event_source_mapping.kinesis.destination_config[0].on_failure[0].destination_arn,
      sort(aws_lambda_event_source_mapping.kinesis.filter_criteria[0].filter[*].pattern),
      aws_lambda_event_source_mapping.kinesis.kms_key_arn,
      aws_lambda_event_source_mapping.kinesis.metrics_config[0].metrics,
      aws_lambda_event_source_mapping.kinesis.tags,
      ] == [
      "arn:aws:lambda:eu-west-1:123456789012:function:logs",
      "arn:aws:kinesis:eu-west-1:123456789012:stream/router",
      false,
      10000,
      300,
      10,
      "AT_TIMESTAMP",
      "2026-01-31T08:00:00Z",
      10000,
      604800,
      true,
      "arn:aws:sqs:eu-west-1:123456789012:failed",
      tolist(["{\"data\":{\"level\":[\"ERROR\"]}}", "{\"partitionKey\":[\"1\"]}"]),
      "arn:aws:kms:eu-west-1:123456789012:key/filter",
      toset(["EventCount"]),
      tomap({ team = "logs" }),
    ]
    error_message = jsonencode(aws_lambda_event_source_mapping.kinesis)
  }
}

run "with_fan_out_the_consumer_is_the_source" {
  variables {
    enhanced_fan_out = true
  }
  assert {
    condition = (
      aws_kinesis_stream_consumer.consumer[0].stream_arn == "arn:aws:kinesis:eu-west-1:123456789012:stream/router" &&
      aws_lambda_event_source_mapping.kinesis.event_source_arn == output.consumer_arn
    )
    error_message = aws_lambda_event_source_mapping.kinesis.event_source_arn
  }
  assert {
    condition = [for statement in output.statements : [statement.Action, statement.Resource] if statement.Sid == "SubscribeToStream"] == [
      [["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"], "arn:aws:kinesis:eu-west-1:123456789012:stream/router/consumer/logs:1"],
    ]
    error_message = jsonencode(output.statements)
  }
}

run "a_queue_is_sent_to" {
  variables {
    on_failure_destination_arn = "arn:aws:sqs:eu-west-1:123456789012:failed"
    on_failure_kms_key_arn     = "arn:aws:kms:eu-west-1:123456789012:key/failed"
    stream_kms_key_arn         = "arn:aws:kms:eu-west-1:123456789012:key/stream"
  }
  assert {
    condition = [for statement in output.statements : [statement.Action, statement.Resource] if statement.Sid != "ReadStream"] == [
      ["kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/stream"],
      [["sqs:SendMessage"], "arn:aws:sqs:eu-west-1:123456789012:failed"],
      [["kms:Decrypt", "kms:GenerateDataKey"], "arn:aws:kms:eu-west-1:123456789012:key/failed"],
    ]
    error_message = jsonencode(output.statements)
  }
}

run "a_topic_is_published_to" {
  variables {
    on_failure_destination_arn = "arn:aws:sns:eu-west-1:123456789012:failed"
  }
  assert {
    condition = [for statement in output.statements : [statement.Action, statement.Resource] if statement.Sid != "ReadStream"] == [
      [["sns:Publish"], "arn:aws:sns:eu-west-1:123456789012:failed"],
    ]
    error_message = jsonencode(output.statements)
  }
}

run "a_bucket_is_written_to" {
  variables {
    on_failure_destination_arn = "arn:aws:s3:::failed"
  }
  assert {
    condition = [for statement in output.statements : [statement.Action, statement.Resource] if statement.Sid != "ReadStream"] == [
      [["s3:ListBucket"], "arn:aws:s3:::failed"],
      [["s3:PutObject"], "arn:aws:s3:::failed/*"],
    ]
    error_message = jsonencode(output.statements)
  }
}

run "a_time_without_at_timestamp_is_refused" {
  command = plan
  variables {
    starting_position_timestamp = "2026-01-31T08:00:00Z"
  }
  expect_failures = [aws_lambda_event_source_mapping.kinesis]
}

run "at_timestamp_without_a_time_is_refused" {
  command = plan
  variables {
    starting_position = "AT_TIMESTAMP"
  }
  expect_failures = [aws_lambda_event_source_mapping.kinesis]
}
