# Everything that the modules are given is made in the same apply, so that nothing of it is known to a plan.

resource "aws_opensearch_domain" "logs" {
  domain_name = "logs"
}

resource "aws_kms_key" "logs" {}

resource "aws_sqs_queue" "logs" {}

resource "aws_kinesis_stream" "logs" {
  name        = "logs"
  shard_count = 1
}

resource "aws_s3_bucket" "logs" {
  bucket_prefix = "x"
}

module "es" {
  source                     = "../.."
  name                       = "es"
  lambda_package_url         = "s3://packages/a.zip"
  kinesis_stream_arn         = aws_kinesis_stream.logs.arn
  elasticsearch_host         = aws_opensearch_domain.logs.endpoint
  elasticsearch_arn          = aws_opensearch_domain.logs.arn
  index_name_prefix          = "app"
  failed_log_s3_bucket       = aws_s3_bucket.logs.id
  failed_log_s3_prefix       = "es"
  on_failure_destination_arn = aws_sqs_queue.logs.arn
  stream_kms_key_arn         = aws_kms_key.logs.arn
  failed_log_kms_key_arn     = aws_kms_key.logs.arn
  on_failure_kms_key_arn     = aws_kms_key.logs.arn
  environment_kms_key_arn    = aws_kms_key.logs.arn
  log_kms_key_arn            = aws_kms_key.logs.arn
  alarms                     = { actions = [aws_sqs_queue.logs.arn] }
  settings                   = { username = aws_kms_key.logs.key_id }
  secret_settings            = { password = aws_kms_key.logs.key_id }
  subnet_ids                 = [aws_kms_key.logs.key_id]
  security_group_ids         = [aws_kms_key.logs.key_id]
}

module "cleaner" {
  source              = "../../../es-cleaner"
  name                = "cleaner"
  lambda_package_url  = "s3://packages/a.zip"
  elasticsearch_host  = aws_opensearch_domain.logs.endpoint
  elasticsearch_arn   = aws_opensearch_domain.logs.arn
  schedule_expression = "rate(1 day)"
  dead_letter_arn     = aws_sqs_queue.logs.arn
}
