# What the module makes of its inputs, with the real provider's schema and no account: terraform test

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                 = "logs"
  lambda_package_url   = "s3://packages/baikonur-arm64.zip"
  kinesis_stream_arn   = "arn:aws:kinesis:eu-west-1:123456789012:stream/router"
  elasticsearch_host   = "search-logs.eu-west-1.es.amazonaws.com"
  elasticsearch_arn    = "arn:aws:es:eu-west-1:123456789012:domain/logs"
  index_name_prefix    = "app"
  failed_log_s3_bucket = "failed"
  failed_log_s3_prefix = "es"
}

run "the_originals_inputs_give_the_originals_variables" {
  assert {
    condition = output.environment == tomap({
      BAIKONUR_MODULE         = "kinesis-to-es"
      TZ                      = "UTC"
      LOG_ID_FIELD            = "log_id"
      LOG_TYPE_FIELD          = "log_type"
      LOG_TIMESTAMP_FIELD     = "time"
      LOG_TYPE_UNKNOWN_PREFIX = "unknown"
      ES_HOST                 = "search-logs.eu-west-1.es.amazonaws.com"
      INDEX_NAME_PREFIX       = "app"
      FAILED_LOG_S3_BUCKET    = "failed"
      FAILED_LOG_S3_PREFIX    = "es"
    })
    error_message = "environment: ${jsonencode(output.environment)}"
  }
}

run "a_domain_is_written_to_and_not_administered" {
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource] if statement.Sid == "WriteDocuments"] == [
      [["es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost", "es:ESHttpPut"], "arn:aws:es:eu-west-1:123456789012:domain/logs/*"],
    ]
    error_message = "policy: ${output.policy}"
  }
}

run "a_collection_is_asked_for_its_one_right" {
  variables {
    elasticsearch_host = "https://abc.eu-west-1.aoss.amazonaws.com"
    elasticsearch_arn  = "arn:aws:aoss:eu-west-1:123456789012:collection/abc"
  }
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource] if statement.Sid == "WriteDocuments"] == [
      [["aoss:APIAccessAll"], "arn:aws:aoss:eu-west-1:123456789012:collection/abc"],
    ]
    error_message = "policy: ${output.policy}"
  }
}

run "a_cluster_of_ones_own_needs_no_right" {
  variables {
    elasticsearch_host = "https://es-1.example.com:9200/logs, https://es-2.example.com:9200/logs"
    elasticsearch_arn  = null
  }
  assert {
    condition     = !can(regex("WriteDocuments|es:|aoss:", output.policy))
    error_message = "policy: ${output.policy}"
  }
}

run "wrong_inputs_are_refused" {
  command = plan
  variables {
    kinesis_stream_arn   = "arn:aws:kinesis:eu-west-1:123456789012:stream/router/consumer/c:1"
    elasticsearch_host   = "https://user:password@es.example.com"
    elasticsearch_arn    = "arn:aws:es:eu-west-1:123456789012:domain/logs/*"
    index_name_prefix    = "App"
    failed_log_s3_bucket = "failed/es"
    failed_log_s3_prefix = "s3://failed"
  }
  expect_failures = [
    var.kinesis_stream_arn, var.elasticsearch_host, var.elasticsearch_arn, var.index_name_prefix,
    var.failed_log_s3_bucket, var.failed_log_s3_prefix,
  ]
}

run "a_plan_needs_nothing_of_what_is_made_together_with_it" {
  command = plan
  module {
    source = "./tests/made-together"
  }
}
