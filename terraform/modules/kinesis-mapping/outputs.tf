output "statements" {
  description = "What the function's role has to allow."
  value = concat(
    [local.read_statement],
    local.subscribe_statements,
    local.decrypt_statements,
    local.on_failure_statements,
    local.on_failure_key_statements,
  )
}

output "uuid" {
  description = "Identifier of the mapping."
  value       = aws_lambda_event_source_mapping.kinesis.uuid
}

output "arn" {
  description = "ARN of the mapping."
  value       = aws_lambda_event_source_mapping.kinesis.arn
}

output "consumer_arn" {
  description = "ARN of the consumer with enhanced fan-out; null without."
  value       = one(aws_kinesis_stream_consumer.consumer[*].arn)
}
