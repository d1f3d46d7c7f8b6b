output "stream_name" {
  description = "The stream that applications put records into."
  value       = aws_kinesis_stream.logs.name
}

output "archive" {
  description = "Where the logs are in S3."
  value       = "s3://${aws_s3_bucket.logs.id}/archive"
}

output "functions" {
  description = "The functions, by destination."
  value = merge(
    { s3 = module.to_s3.function_name },
    { for module in module.to_es : "elasticsearch" => module.function_name },
    { for module in module.to_fluent : "fluent" => module.function_name },
  )
}
