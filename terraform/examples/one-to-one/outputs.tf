output "stream_name" {
  description = "The stream that applications put records into."
  value       = aws_kinesis_stream.logs.name
}

output "archive" {
  description = "Where the logs are."
  value       = "s3://${aws_s3_bucket.logs.id}/archive"
}

output "given_up_queue_url" {
  description = "The queue that is told of batches that were given up."
  value       = aws_sqs_queue.given_up.url
}

output "event_source_mapping_uuid" {
  description = "Identifier of the mapping."
  value       = module.to_s3.event_source_mapping_uuid
}
